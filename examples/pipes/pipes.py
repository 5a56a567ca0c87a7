"""Count the words of files with several threads that talk over pipes: python examples/pipes/pipes.py [FILE …]

    reader ──lines──▶ counter, counter, counter ──counts──▶ this thread

Each arrow is a `Line`: an actor in a process of its own, whose mailbox is a pipe. Each thread has a pipe of its own,
too, by which its answers come. No thread shares a variable, a lock or a queue with another.
"""

import sys
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from actors import Actor, ActorError, Layout, Region, child, field, message
from runtime import Supervisor

COUNTERS = 3
LINES_AT_ONCE = 64
ROOM = 8
END = "end"
FILES = [Path(__file__), Path(__file__).with_name("README.md")]


class Bell(Layout):
    """Rung whenever something was put in or taken out: whoever found a line full, or empty, waits for it."""

    rung = field("u8")


class Line(Actor):
    """What is put in at one end is taken out at the other, in order; each item by one taker. Never waits itself."""

    def __init__(self, bell: Region[Bell], room: int) -> None:
        self._bell = bell
        self._room = room
        self._items: deque[Any] = deque()

    @message
    def put(self, item: Any) -> bool:
        """Put it in; False when there is no room."""
        if len(self._items) == self._room:
            return False
        self._items.append(item)
        self._ring()
        return True

    @message
    def take(self) -> Any:
        """Take one out; None when there is none."""
        if not self._items:
            return None
        self._ring()
        return self._items.popleft()

    def _ring(self) -> None:
        with self._bell.write() as view:
            view.rung += 1


@dataclass(frozen=True)
class Talk:
    """A thread's way to a line: waits, without polling, where the line itself never does."""

    line: Line
    bell: Region[Bell]

    def put(self, item: Any) -> None:
        heard = self.bell.generation  # before the attempt, so that no ring is missed
        while not self.line.put(item):
            self._wait(heard)
            heard = self.bell.generation

    def take(self) -> Any:
        heard = self.bell.generation
        while (item := self.line.take()) is None:
            self._wait(heard)
            heard = self.bell.generation
        return item

    def _wait(self, heard: int) -> None:
        self.bell.wait_newer(heard, timeout=1.0)  # then ask again: nobody rings when the system is gone


class Talker(Thread):
    """A thread that ends, and says why, when the system it talks through is gone."""

    def run(self) -> None:
        try:
            super().run()
        except ActorError as exc:
            print(f"{self.name}: {exc}", file=sys.stderr)


def read(files: Sequence[Path], lines: Talk) -> None:
    """Put in the lines of the files, some at once, then an end for each counter."""
    for file in files:
        text = file.read_text(encoding="utf-8").splitlines()
        for start in range(0, len(text), LINES_AT_ONCE):
            lines.put(text[start : start + LINES_AT_ONCE])
    for _ in range(COUNTERS):
        lines.put(END)


def count(lines: Talk, counts: Talk) -> None:
    """Count words until the end comes."""
    while (some := lines.take()) != END:
        counts.put(Counter(word for line in some for word in line.split()))
    counts.put(END)


def collect(counts: Talk) -> Mapping[str, int]:
    """Add up what the counters found, until each has come to its end."""
    found: Counter[str] = Counter()
    ended = 0
    while ended < COUNTERS:
        some = counts.take()
        if some == END:
            ended += 1
        else:
            found.update(some)
    return found


def main(files: Sequence[Path]) -> Mapping[str, int]:
    """The words of the files, and how often each occurs."""
    with Supervisor("pipes") as supervisor:
        talks = []
        for name in ("lines", "counts"):
            bell = supervisor.region(name, Bell)
            talks.append(Talk(supervisor.start(child(Line, bell, ROOM), name=name), bell))
        lines, counts = talks
        threads = [Talker(target=read, args=(files, lines), name="reader")]
        threads += [Talker(target=count, args=(lines, counts), name=f"counter-{n}") for n in range(COUNTERS)]
        for thread in threads:
            thread.start()
        found = collect(counts)
        for thread in threads:
            thread.join()
    return found


if __name__ == "__main__":
    try:
        words = main([Path(name) for name in sys.argv[1:]] or FILES)
    except KeyboardInterrupt:
        sys.exit(130)
    for word, times in sorted(words.items(), key=lambda item: (-item[1], item[0]))[:10]:
        print(f"{times:6}  {word}")
    print(f"{sum(words.values()):6}  words in all")
