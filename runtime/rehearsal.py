"""The rehearsal: a short life of an actor that nobody sees, by the same code as any other's (runtime.life).

A fresh fork pays for every page it writes first: reference counts, and what the interpreter notes in the code it runs.
So the zygote rehearses before it forks, until the interpreter has nothing more to note; and each spare once more, on
pages that are its own then, before anybody waits for it.

RH-1  A rehearsal leaves nothing: no descriptor, no name, nothing attached, no change of the surroundings. The names of
      one that was killed are swept by the supervisor.
RH-2  One that fails only makes the next start slower; that start will say why, if it meets the same.
"""

import contextlib
import contextvars
import gc
import os

from actors.actor import Actor
from actors.message import message
from runtime.life import Host, live
from runtime.mailbox import fifo, page
from runtime.mailbox.page import Page
from runtime.mailbox.patience import Board
from runtime.memory.seal import sealed
from runtime.process.exit import REHEARSAL
from runtime.process.order import Launch, decode, encode
from runtime.process.zygote import joined_payload
from runtime.wire import frame
from runtime.wire.codec import Codec
from runtime.wire.parts import whole

_CALLER = 1  # the address of a reply FIFO
_NAMES = ("mailbox", "urgent", f"replies/{_CALLER:016x}")
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


class Rehearsal:
    """What rehearsals have in common, made once; forks inherit it. Owns a descriptor, for good."""

    def __init__(self) -> None:
        codec = Codec()
        self._payload = sealed(joined_payload(b"", codec.encode_constructor(_Walker, (1,), {})))
        kind, payload = codec.encode_call("say", (1,), {}, ())
        call = bytes(whole(payload))
        asked = frame.ask(kind, call, 1, _CALLER, 0)
        self._script = [asked, frame.tell(kind, call)] * _LINES

    def run(self, directory: str) -> None:
        """Live from an order to the exit; names of its own are in directory meanwhile (RH-1)."""
        stage = f"{directory}/{REHEARSAL}{os.getpid()}"
        with contextlib.suppress(OSError):  # RH-2
            os.mkdir(stage, 0o700)
            os.mkdir(f"{stage}/replies", 0o700)
            contextvars.copy_context().run(self._live, stage)
        gc.collect(0)  # circles that have the page mapped; they are all young
        for name in _NAMES:
            with contextlib.suppress(OSError):
                os.unlink(f"{stage}/{name}")
        with contextlib.suppress(OSError):
            os.rmdir(f"{stage}/replies")
            os.rmdir(stage)

    def _live(self, stage: str) -> None:
        opened: list[int] = []
        try:
            opened.extend(fifo.create(f"{stage}/{name}", _MAILBOX_BYTES)[0] for name in _NAMES)
            opened.append(page.create(_MAILBOX_BYTES))
            self._play(stage, *opened)
        finally:
            for fd in opened:
                os.close(fd)

    def _play(self, stage: str, mailbox: int, _urgent: int, caller: int, page_fd: int) -> None:
        order = Launch(1, "rehearsal", "rehearsal", 2, "rehearsal", stage, ".", None, True, caller, 0, 0)
        launch = decode(encode(order))
        if not isinstance(launch, Launch):
            return
        own = Page(page_fd)
        own.words[page.INCARNATION] = launch.incarnation
        own.words[page.CONTROL] = page.STOP_FINISH  # the life ends with its script
        for raw in self._script:
            os.write(mailbox, raw)
        host = Host(launch, own, Board(None, 0, 0))
        try:
            live(host, launch, own, os.dup(self._payload), -1)
        finally:
            host.close()
            own.close()
