"""What the commands print: the one place that writes to stdout and stderr.

OU-1  What is not ours is printed as text, whatever is in it (actors.printable).
OU-2  An output that cannot be written is `Unwritable`, once, and from then on written to nowhere: neither a command nor
      the interpreter's own flush at its end stumbles over it again.
OU-3  Where stdout is for programs, nobody else writes to it: what modules print at import, and what actors print, goes
      to stderr (`reserved`).
"""

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from actors.printable import printable, printable_json

_PIPED_WIDTH = 200  # columns, where there is no terminal to fit
_reserved: list[TextIO] = []


class Unwritable(Exception):
    """Nothing can be written there any more.

    Attributes:
        stream: "stdout" or "stderr".
        error: why.
    """

    def __init__(self, stream: str, error: OSError) -> None:
        super().__init__(stream, error)
        self.stream = stream
        self.error = error

    def __str__(self) -> str:
        return f"{self.stream}: {os.strerror(self.error.errno or 0).lower()}"

    def is_unread(self) -> bool:
        """Whether its reader has gone, as `head` does: no fault of anybody's."""
        return isinstance(self.error, BrokenPipeError)


def say(text: str) -> None:
    """Print text on stdout."""
    with _writing("stdout"):
        click.echo(printable(text), file=_stdout())


def say_json(value: object) -> None:
    """Print a value on stdout, as one line of JSON."""
    say_json_text(json.dumps(value, ensure_ascii=False))


def say_json_text(text: str) -> None:
    """Print what is JSON already."""
    with _writing("stdout"):
        click.echo(printable_json(text), file=_stdout())


def show(what: RenderableType) -> None:
    """Print a table or a tree on stdout: as wide as the terminal; wide enough for whole lines where there is none."""
    with _writing("stdout"):
        stdout = _stdout()
        console = Console(file=stdout)
        if not console.is_terminal:
            console = Console(file=stdout, width=_PIPED_WIDTH)
        console.print(_Printable(what))


def complain(text: str) -> None:
    """Print text on stderr; where nobody can be told, nothing."""
    with contextlib.suppress(Unwritable), _writing("stderr"):
        click.echo(printable(text), err=True)


@contextlib.contextmanager
def reserved(*, only_if: bool = True) -> Iterator[None]:
    """Keep stdout for what is said here; what anybody else writes there goes to stderr (OU-3)."""
    if not (only_if and _is_own(sys.stdout) and _is_own(sys.stderr)):
        yield
        return
    sys.stdout.flush()
    kept = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    _reserved.append(open(kept, "w", encoding=sys.stdout.encoding, errors="backslashreplace"))  # noqa: SIM115
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, sys.stdout.fileno())
        _reserved.pop().close()


def silence(fd: int) -> None:
    """Let what is written there go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, fd, inheritable=fd <= 2)  # the standard streams are for children too
    os.close(nowhere)


class _Printable:
    """Something rich can draw, with its texts made printable once they are laid out: styles stay (OU-1)."""

    def __init__(self, what: RenderableType) -> None:
        self._what = what

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self._what, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


@contextlib.contextmanager
def _writing(name: str) -> Iterator[None]:
    """OU-2."""
    try:
        yield
    except OSError as exc:
        stream = _stdout() if name == "stdout" else sys.stderr
        if _is_own(stream):
            silence(stream.fileno())
            with contextlib.suppress(OSError):
                stream.flush()  # what it still holds
        raise Unwritable(name, exc) from exc


def _stdout() -> TextIO:
    return _reserved[-1] if _reserved else sys.stdout


def _is_own(stream: Any) -> bool:
    """Whether it writes to a descriptor, and is no test's or notebook's."""
    return isinstance(stream, io.TextIOWrapper) and stream in (sys.__stdout__, sys.__stderr__, *_reserved)
