"""Count the words of files with threads that are actors and talk over pipes: python examples/pipes/pipes.py [FILE …]

    reader ──lines──▶ counters.r1, .r2, .r3 ──words──▶ tally ──▶ this program

Each of the five is a thread of one process, and each has a mailbox: a pipe. No thread shares a variable, a lock or a
queue with another. `--host process` gives each a process of its own; nothing else changes.
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from actors import Actor, child, deadline, message
from runtime import Supervisor

COUNTERS = 3
LINES_AT_ONCE = 32
FILES = [Path(__file__), Path(__file__).with_name("README.md")]


class Tally(Actor):
    """Adds up what the counters find. It has an `async def` handler, so its thread runs an event loop."""

    def __init__(self) -> None:
        self._found: dict[int, Mapping[str, int]] = {}
        self._grew = asyncio.Event()

    @message
    def add(self, batch: int, words: Mapping[str, int]) -> None:
        """What was found in one batch; told twice, it counts once."""
        self._found[batch] = words
        self._grew.set()

    @message(concurrent=True)
    async def words(self, batches: int) -> Mapping[str, int]:
        """All words, once that many batches have been counted; others are added meanwhile."""
        while len(self._found) < batches:
            self._grew.clear()
            await self._grew.wait()
        return sum(map(Counter, self._found.values()), Counter[str]())


class WordCounter(Actor, on_raise="crash"):
    """Counts. One that crashes is restarted as a new thread: its queue is kept, the batch in hand counted again."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    @message(retry=1)
    def count(self, batch: int, lines: Sequence[str]) -> None:
        """Count the words of some lines."""
        self._tally.add.tell(batch, Counter(word for line in lines for word in line.split()))


class Reader(Actor):
    """Reads files. It waits where a pipe is full: nobody has to tell it that the counters cannot keep up."""

    def __init__(self, counters: WordCounter) -> None:
        self._counters = counters

    @message
    def read(self, files: Sequence[str]) -> int:
        """Hand out the lines of the files, some at once; returns how many batches that were."""
        batch = 0
        for file in files:
            lines = Path(file).read_text(encoding="utf-8").splitlines()
            for start in range(0, len(lines), LINES_AT_ONCE):
                self._counters.count.tell(batch, lines[start : start + LINES_AT_ONCE])
                batch += 1
        return batch


def main(files: Sequence[Path], host: Literal["process", "thread"] = "thread") -> Mapping[str, int]:
    """The words of the files, and how often each occurs."""
    with Supervisor("pipes") as supervisor, deadline(None):
        tally = supervisor.start(child(Tally), name="tally", host=host)
        counters = supervisor.start(child(WordCounter, tally), name="counters", host=host, replicas=COUNTERS)
        reader = supervisor.start(child(Reader, counters), name="reader", host=host, shutdown=1.0)
        batches = reader.read([str(file.resolve()) for file in files])
        return tally.words.ask(batches).result()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Count the words of files.")
    parser.add_argument("files", nargs="*", type=Path, default=FILES)
    parser.add_argument("--host", choices=("process", "thread"), default="thread")
    given = parser.parse_args()
    try:
        found = main(given.files, given.host)
    except KeyboardInterrupt:
        sys.exit(130)
    for word, times in sorted(found.items(), key=lambda item: (-item[1], item[0]))[:10]:
        print(f"{times:6}  {word}")
    print(f"{sum(found.values()):6}  words in all")
