"""Positions: on which line of a TOML file each key and each array element stands.

tomllib gives the values and forgets where they stood. This scanner runs beside it, over a text that tomllib has
accepted: so it reads keys and brackets, skips scalars and strings, and checks nothing.

A position is kept under the path that leads to the value in tomllib's result: keys as strings, array elements by index.

    [children.tea]              ("children",) ("children", "tea")            line 1
    args = [                    ("children", "tea", "args")                  line 2
      3 ]                       ("children", "tea", "args", 0)               line 3

PO-1  A table is where its own header stands; one without a header (made by a longer one, or by a dotted key) is where
      it is mentioned first.
PO-2  The paths come in the order of first mention, which is also tomllib's order.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping

Path = tuple[str | int, ...]

_SPACE = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*'""")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'  # a multi-line string may end in up to two quotes of its own
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}\n#]+")


def positions_of(text: str) -> Mapping[Path, int]:
    """Where everything stands in a valid TOML text.

    Args:
        text: what tomllib accepts.
    Returns:
        path → line, counted from 1.
    """
    return _Scanner(text.replace("\r\n", "\n")).scan()


def line_of(path: Path, positions: Mapping[Path, int]) -> int:
    """The line of a path; of what is not in the file, the line of the nearest table around it."""
    for length in range(len(path), 0, -1):
        line = positions.get(path[:length])
        if line is not None:
            return line
    return 1


class _Scanner:
    """One pass over one text; `_at` is the offset of what is read next."""

    __slots__ = ("_at", "_counts", "_newlines", "_positions", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._newlines = [found.start() for found in re.finditer("\n", text)]
        self._positions: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}  # of the arrays of tables: elements so far

    def scan(self) -> dict[Path, int]:
        """THE loop: headers, and key-value pairs in the table of the last header."""
        table: Path = ()
        while self._skip(_SPACE) < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._positions

    def _header(self) -> Path:
        """`[a.b]` or `[[a.b]]`; returns the table that the next pairs belong to."""
        is_element = self._text.startswith("[[", self._at)
        self._at += 2 if is_element else 1
        line = self._line()
        *parents, last = self._dotted()
        self._at += 2 if is_element else 1
        path: Path = ()
        for key in parents:
            path = self._mention((*path, key), line)
            if path in self._counts:  # a header goes through the newest element
                path = (*path, self._counts[path] - 1)
        path = (*path, last)
        if not is_element:
            self._positions[path] = line  # PO-1; an earlier mention keeps its place in the order (PO-2)
            return path
        self._mention(path, line)
        index = self._counts.get(path, 0)
        self._counts[path] = index + 1
        return self._mention((*path, index), line)

    def _pair(self, table: Path) -> None:
        """`a.b = value`."""
        line = self._line()
        path = table
        for key in self._dotted():
            path = self._mention((*path, key), line)
        self._at += 1  # =
        self._skip(_BLANK)
        self._value(path)

    def _dotted(self) -> list[str]:
        """`a."b c".d`, up to what follows it (`]` or `=`)."""
        keys: list[str] = []
        while True:
            self._skip(_BLANK)
            keys.append(_unquoted(self._take(_KEY)))
            self._skip(_BLANK)
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _value(self, path: Path) -> None:
        match self._text[self._at]:
            case '"' | "'":
                self._take(_STRING)
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case _:
                self._take(_SCALAR)

    def _array(self, path: Path) -> None:
        self._at += 1
        index = 0
        while self._next_of("]"):
            self._value(self._mention((*path, index), self._line()))
            index += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while self._next_of("}"):
            self._pair(path)

    def _next_of(self, closing: str) -> bool:
        """Go to the next element; False, and past the closing bracket, when there is none."""
        self._skip(_SPACE)
        if self._text[self._at] == ",":
            self._at += 1
            self._skip(_SPACE)
        if self._text[self._at] != closing:
            return True
        self._at += 1
        return False

    def _mention(self, path: Path, line: int) -> Path:
        self._positions.setdefault(path, line)
        return path

    def _line(self) -> int:
        return bisect_right(self._newlines, self._at) + 1

    def _skip(self, pattern: re.Pattern[str]) -> int:
        self._take(pattern)
        return self._at

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise ValueError(
                f"line {self._line()}: expected a text that tomllib accepts, got {self._text[self._at :][:20]!r}"
            )
        self._at = found.end()
        return found.group()


def _unquoted(key: str) -> str:
    if key[0] not in "\"'":
        return key
    value = tomllib.loads(f"key = {key}")["key"]
    return str(value)
