"""The rehearsal: a short life of an actor that nobody sees, by the same code as any other's (runtime.life).

A fresh fork pays for every page it writes first: reference counts, and what the interpreter notes in the code it runs.
So the zygote rehearses before it forks, until the interpreter has nothing more to note; and each spare once more, on
pages that are its own then, before anybody waits for it.

RH-1  A rehearsal makes no name and leaves nothing: no descriptor, nothing attached, no change of the surroundings. It
      is for a process with one thread.
RH-2  One that fails only makes the next start slower; that start will say why, if it meets the same.
"""

import contextlib
import contextvars
import gc
import os

from actors.actor import Actor
from actors.message import message
from runtime.life import Host, live
from runtime.mailbox import page
from runtime.mailbox.page import Page
from runtime.mailbox.patience import Board
from runtime.memory.seal import sealed
from runtime.process.order import Launch, decode, encode
from runtime.process.payload import joined_payload
from runtime.wire import frame
from runtime.wire.codec import Codec
from runtime.wire.parts import whole

_CALLER = 1  # the address of a reply FIFO
_ENDS = ("mailbox", "urgent", "caller")
_MAILBOX_BYTES = 4096
_LINES = 2  # messages of each kind


class _Walker(Actor):
    """Walks through the part."""

    def __init__(self, act: int) -> None:
        self.act = act

    @message
    def say(self, line: int) -> int:
        """A small message."""
        return line


class _Pipes:
    """Anonymous pipes in the place of FIFOs: in the runtime directory even a name of a moment is seen."""

    def __init__(self, reads: dict[str, int], write: int) -> None:
        self._reads = reads
        self._write = write

    def open_read(self, path: str) -> int:
        return os.dup(self._reads[path.rpartition("/")[2]])

    def open_write(self, path: str) -> int:
        del path  # there is one caller
        return os.dup(self._write)


class Rehearsal:
    """What rehearsals have in common, made once; forks inherit it. Owns a descriptor, for good."""

    def __init__(self) -> None:
        codec = Codec()
        self._payload = sealed(joined_payload(b"", b"", codec.encode_constructor(_Walker, (1,), {})))
        kind, payload = codec.encode_call("say", (1,), {}, ())
        call = bytes(whole(payload))
        asked = frame.ask(kind, call, 1, _CALLER, 0)
        self._script = [asked, frame.tell(kind, call)] * _LINES

    def run(self) -> None:
        """Live from an order to the exit."""
        with contextlib.suppress(OSError):  # RH-2
            contextvars.copy_context().run(self._live)
        gc.collect(0)  # circles that have the page mapped; they are all young

    def _live(self) -> None:
        opened: list[int] = []
        try:
            for _ in _ENDS:
                opened.extend(os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
            page_fd = page.create(_MAILBOX_BYTES)
            opened.append(page_fd)
            reads, writes = opened[:-1:2], opened[1:-1:2]
            pipes = _Pipes(dict(zip(_ENDS, reads, strict=True)), writes[-1])
            self._play(page_fd, pipes, mailbox=writes[0], events=writes[-1])
        finally:
            for fd in opened:
                os.close(fd)

    def _play(self, page_fd: int, pipes: _Pipes, *, mailbox: int, events: int) -> None:
        launch = decode(encode(Launch(1, "rehearsal", "rehearsal", 2, "", "", "", None, True, events, 0, 0)))
        if not isinstance(launch, Launch):
            return
        own = Page(page_fd)
        own.words[page.INCARNATION] = launch.incarnation
        own.words[page.CONTROL] = page.STOP_FINISH  # the life ends with its script
        for raw in self._script:
            os.write(mailbox, raw)
        host = Host(launch, own, Board(None, 0, 0), fifos=pipes)
        try:
            live(host, launch, own, os.dup(self._payload), -1)
        finally:
            host.close()
            own.close()
