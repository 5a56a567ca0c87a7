"""The shape of a layout: every field at its place in memory, as plain data. Nothing here touches memory.

SH-1  The fingerprint is of the description: names, codes, extents, offsets and the total. The name of the class is not
      in it, so a layout may be renamed and moved.
SH-2  A description says all: the shape that is made of it has the same description, or there is an error.
"""

import difflib
import hashlib
import math
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from actors.errors import BadLayout

_FORMATS = {"i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I", "u8": "Q"} | {
    "f4": "f",
    "f8": "d",
    "bool": "?",
}
_LINE = re.compile(r" *(?P<offset>\d+)  (?P<name>.+)  (?P<of>\d+ bytes|[a-zA-Z]+\d*)(?:\[(?P<shape>[\d,]+)\])?")
_TOTAL = re.compile(r" *(?P<nbytes>\d+)  bytes in all")
_FIXED_BYTES = re.compile(r"S([1-9][0-9]{0,8})")


@dataclass(frozen=True, slots=True)
class Code:
    """A scalar's type.

    Attributes:
        text: "u8", "f4", "bool", "S16", …
        format: the same for struct and memoryview.cast.
        nbytes: of one.
        alignment: in bytes.
    """

    text: str
    format: str
    nbytes: int
    alignment: int


@dataclass(frozen=True, slots=True)
class Member:
    """One field at its place.

    Attributes:
        name: of the field.
        of: what it is, or what its items are.
        shape: of an array; None for a single one.
        offset: in bytes from the start of its layout.
    """

    name: str
    of: "Code | Shape"
    shape: tuple[int, ...] | None
    offset: int

    @property
    def nbytes(self) -> int:
        """Bytes of the whole member."""
        return self.of.nbytes * math.prod(self.shape or ())

    def lines(self, prefix: str, base: int) -> Iterator[str]:
        """Its lines in the description: offset, dotted name, code and shape."""
        name = prefix + self.name
        extent = "" if self.shape is None else f"[{','.join(map(str, self.shape))}]"
        if isinstance(self.of, Code):
            yield f"{base + self.offset:>8}  {name}  {self.of.text}{extent}"
            return
        yield f"{base + self.offset:>8}  {name}  {self.of.nbytes} bytes{extent}"
        for member in self.of.members:
            yield from member.lines(f"{name}{extent}.", base + self.offset)


@dataclass(frozen=True, slots=True)
class Shape:
    """All members of a layout at their places.

    Attributes:
        members: in order of their offsets.
        nbytes: of the whole, padded to its alignment.
        alignment: the largest of its members'.
    """

    members: tuple[Member, ...]
    nbytes: int
    alignment: int

    def describe(self) -> str:
        """One line per field, the total in the last: what two layouts are compared by."""
        lines = [line for member in self.members for line in member.lines("", 0)]
        return "\n".join([*lines, f"{self.nbytes:>8}  bytes in all"])

    @property
    def fingerprint(self) -> bytes:
        """16 bytes that are the same, in every process and version, for the same description only."""
        return hashlib.blake2b(self.describe().encode(), digest_size=16).digest()


def shape_from(description: str) -> Shape:
    """The shape that `Shape.describe` described (SH-2); its alignment, which is not in there, is 1.

    Raises:
        BadLayout: it describes none.
    """
    *lines, last = description.splitlines() or [""]
    total = _TOTAL.fullmatch(last)
    if total is None:
        raise BadLayout(f"description: expected the bytes in all in its last line, got {last!r}")
    shape = Shape(_members(lines, "", 0), int(total["nbytes"]), 1)
    ends = [member.offset + member.nbytes for member in shape.members]
    if not ends or max(ends) > shape.nbytes or shape.describe() != description:
        raise BadLayout("description: expected one that Shape.describe made")
    return shape


def _members(lines: Sequence[str], prefix: str, base: int) -> tuple[Member, ...]:
    members: list[Member] = []
    rest = list(lines)
    while rest:
        line = rest.pop(0)
        found = _LINE.fullmatch(line)
        if found is None or not found["name"].startswith(prefix):
            raise BadLayout(f"description: expected a field below {prefix or 'the layout'!r}, got {line!r}")
        extent = "" if found["shape"] is None else f"[{found['shape']}]"
        shape = tuple(int(size) for size in found["shape"].split(",")) if extent else None
        offset = int(found["offset"]) - base
        of: Code | Shape
        if found["of"].endswith(" bytes"):
            below = f"{found['name']}{extent}."
            count = next((n for n, each in enumerate(rest) if f"  {below}" not in each), len(rest))
            inner, rest = rest[:count], rest[count:]
            of = Shape(_members(inner, below, base + offset), int(found["of"].split()[0]), 1)
        else:
            of = code_of(found["of"])
        members.append(Member(found["name"].removeprefix(prefix), of, shape, offset))
    return tuple(members)


def code_of(text: object) -> Code:
    """The code of that name.

    Raises:
        BadLayout: there is none.
    """
    if isinstance(text, str) and text in _FORMATS:
        nbytes = struct.calcsize("=" + _FORMATS[text])
        return Code(text, _FORMATS[text], nbytes, nbytes)
    fixed = _FIXED_BYTES.fullmatch(text) if isinstance(text, str) else None
    if fixed is not None:
        return Code(fixed[0], f"{fixed[1]}s", int(fixed[1]), 1)
    raise BadLayout(f"field: expected a Layout, one of {', '.join(_FORMATS)} or S<bytes>, got {text!r}")


def difference(made: str, opened: str) -> str:
    """What differs between two descriptions: "-" the lines of the first only, "+" those of the second."""
    compared = difflib.ndiff(made.splitlines(), opened.splitlines())
    return "\n".join(line for line in compared if line[:1] in "-+")


def aligned(offset: int, alignment: int) -> int:
    """The first multiple of alignment that is not below offset."""
    return -(-offset // alignment) * alignment
