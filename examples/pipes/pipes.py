"""Count the words of files with several threads that talk over pipes: python examples/pipes/pipes.py [FILE …]

    reader ──lines──▶ counter, counter, counter ──counts──▶ this thread

Each arrow is a `Line`: an actor in a process of its own, whose mailbox is a pipe. Each thread has a pipe of its own too,
by which its answers come. No thread shares a variable, a lock or a queue with another.
"""

import asyncio
import sys
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

from actors import Actor, ActorError, child, deadline, message
from runtime import Supervisor

COUNTERS = 3
LINES_AT_ONCE = 64
ROOM = 8
END = None
FILES = [Path(__file__), Path(__file__).with_name("README.md")]


class Line(Actor):
    """What is put in at one end is taken out at the other, in order; each item by one taker."""

    def __init__(self, room: int) -> None:
        self._items: deque[Any] = deque()
        self._room = asyncio.Semaphore(room)
        self._filled = asyncio.Semaphore(0)

    @message(concurrent=True)
    async def put(self, item: Any) -> None:
        """Wait for room, and put it in."""
        await self._room.acquire()
        self._items.append(item)
        self._filled.release()

    @message(concurrent=True)
    async def take(self) -> Any:
        """Wait for an item, and take it out."""
        await self._filled.acquire()
        item = self._items.popleft()
        self._room.release()
        return item


class Talker(Thread):
    """A thread that ends, and says why, when the system it talks through is gone."""

    def run(self) -> None:
        try:
            with deadline(None):  # a line may be empty, or full, for any time
                super().run()
        except ActorError as exc:
            print(f"{self.name}: {exc}", file=sys.stderr)


def read(files: Sequence[Path], lines: Line) -> None:
    """Put in the lines of the files, some at once, then an end for each counter."""
    for file in files:
        text = file.read_text(encoding="utf-8").splitlines()
        for start in range(0, len(text), LINES_AT_ONCE):
            lines.put.ask(text[start : start + LINES_AT_ONCE]).result()
    for _ in range(COUNTERS):
        lines.put.ask(END).result()


def count(lines: Line, counts: Line) -> None:
    """Count words until the end comes."""
    while (some := lines.take.ask().result()) is not END:
        counts.put.ask(Counter(word for line in some for word in line.split())).result()
    counts.put.ask(END).result()


def collect(counts: Line) -> Mapping[str, int]:
    """Add up what the counters found, until each has come to its end."""
    found: Counter[str] = Counter()
    ended = 0
    with deadline(None):
        while ended < COUNTERS:
            some = counts.take.ask().result()
            ended += some is END
            found.update(some or ())
    return found


def main(files: Sequence[Path]) -> Mapping[str, int]:
    """The words of the files, and how often each occurs."""
    with Supervisor("pipes") as supervisor:
        lines = supervisor.start(child(Line, ROOM), name="lines")
        counts = supervisor.start(child(Line, ROOM), name="counts")
        threads = [Talker(target=read, args=(files, lines), name="reader")]
        threads += [Talker(target=count, args=(lines, counts), name=f"counter-{n}") for n in range(COUNTERS)]
        for thread in threads:
            thread.start()
        found = collect(counts)
        for thread in threads:
            thread.join()
    return found


if __name__ == "__main__":
    words = main([Path(name) for name in sys.argv[1:]] or FILES)
    for word, times in sorted(words.items(), key=lambda item: (-item[1], item[0]))[:10]:
        print(f"{times:6}  {word}")
    print(f"{sum(words.values()):6}  words in all")
