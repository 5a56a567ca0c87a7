"""What is kept on disk of one actor."""

from typing import NamedTuple


class Row(NamedTuple):
    """A state: the number of its commit, its kind and itself as the codec encoded it."""

    number: int
    kind: int
    state: bytes
