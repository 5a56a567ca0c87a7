"""A mapping that is never changed: `put` and `drop` give a new one and share with the old all but one shard.

A dict copied per event would make the start of n children cost n²; 64 shards keep a change to the copy of a 64-slot
tuple and a dict of n/64 entries: about a microsecond up to 10,000 entries. No order; whoever needs one keeps it.
"""

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")

_COUNT = 64  # a power of two, for the mask
_MASK = _COUNT - 1


class Shards(Generic[T]):
    """An immutable mapping from names to values."""

    __slots__ = ("_shards", "_size")

    def __init__(self, shards: list[dict[str, T]], size: int) -> None:
        """Take over shards that nobody will change; `of` is the way in."""
        self._shards = shards
        self._size = size

    @classmethod
    def of(cls, values: Mapping[str, T]) -> "Shards[T]":
        """A mapping with these values."""
        shards: list[dict[str, T]] = [{} for _ in range(_COUNT)]
        for key, value in values.items():
            shards[hash(key) & _MASK][key] = value
        return cls(shards, len(values))

    def get(self, key: str) -> T | None:
        """The value, None where there is none."""
        return self._shards[hash(key) & _MASK].get(key)

    def put(self, key: str, value: T) -> "Shards[T]":
        """The same with this value at key."""
        at = hash(key) & _MASK
        shards = self._shards.copy()
        shard = shards[at] = shards[at].copy()
        size = self._size + (key not in shard)
        shard[key] = value
        return Shards(shards, size)

    def drop(self, key: str) -> "Shards[T]":
        """The same without key, which is there."""
        at = hash(key) & _MASK
        shards = self._shards.copy()
        shard = shards[at] = shards[at].copy()
        del shard[key]
        return Shards(shards, self._size - 1)

    def items(self) -> Iterator[tuple[str, T]]:
        """All pairs, in no order."""
        for shard in self._shards:
            yield from shard.items()

    def values(self) -> Iterator[T]:
        """All values, in no order."""
        for shard in self._shards:
            yield from shard.values()

    def __len__(self) -> int:
        return self._size

    def __contains__(self, key: str) -> bool:
        return key in self._shards[hash(key) & _MASK]
