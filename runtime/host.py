"""The host: main of an actor process, and of one that hosts several actors in threads (runtime.threadhost).

    launched → its page, its `Machine` → a life (runtime.life), to its end → exit code 0
    anything that raises on the way: its traceback becomes the page's last words, exit code 1

HO-1  What ends the process is in the last words of the page before it ends: the traceback of an exception, the stacks
      of all threads at a fatal signal (faulthandler, which needs no GIL), those of the tasks when it is asked to.
HO-2  A process ends as Python ends (runtime.process.interpreter): its threads finish their work, within its `shutdown`
      if it was asked to stop, else within ALONE_SECONDS, or CRASH_SECONDS.
"""

import contextlib
import faulthandler
import functools
import gc
import os
import signal
import socket
import sys

from actors.actor import Actor
from actors.interfaces import attach
from runtime.durable import keeper
from runtime.endpoint import Endpoint
from runtime.life import REPLY_FIFO_BYTES, Host, learn, live
from runtime.mailbox.fifo import OpenedLanes
from runtime.mailbox.page import CONTROL, RUN, Page
from runtime.mailbox.patience import Board
from runtime.process import interpreter, prctl, streams
from runtime.process.order import Gather, Launch
from runtime.process.zygote import exit_code
from runtime.rehearsal import Rehearsal
from runtime.stderr import KeptStderr, SharedStderr
from runtime.threadhost import ThreadHost
from runtime.trace import formatted
from runtime.wire.line import Lines

ALONE_SECONDS = 5.0  # for the end of an actor that stops by itself: as long as `shutdown` is where nothing is said
CRASH_SECONDS = 1.0  # for that of one that dies of an exception: askers wait for the news of it


def play(launch: Launch, page_fd: int, payload_fd: int, board_fd: int, snapshots_fd: int = -1) -> int:
    """Be the actor until its end; returns the exit code. Called in a fresh fork of the zygote."""
    return Part(launch, page_fd, payload_fd, board_fd).play(snapshots_fd)


def study(launch: Launch, page_fd: int, payload_fd: int, board_fd: int) -> "Part":
    """Get ready for being the actor, while it may still live: nothing is written to its page, nothing read."""
    part = Part(launch, page_fd, payload_fd, board_fd)
    part.map_in()
    return part


class Part:
    """An actor's, as far as it can be prepared before it is played."""

    def __init__(self, launch: Launch, page_fd: int, payload_fd: int, board_fd: int) -> None:
        self._launch = launch
        self._page = page = Page(page_fd)
        lanes = OpenedLanes(f"{launch.directory}/{launch.mailbox}/{lane}" for lane in ("mailbox", "urgent"))
        self._host = Host(launch, page, Board(board_fd, launch.seat, launch.pollers), fifos=lanes)
        self._payload_fd = payload_fd
        self._last_words = _last_words_file(page_fd, page.last_words_at)

    def map_in(self) -> None:
        """See `Page.map_in`."""
        self._page.map_in()

    def play(self, snapshots_fd: int) -> int:
        """Be the actor until its end; returns the exit code."""
        launch, page = self._launch, self._page
        with contextlib.suppress(PermissionError):
            os.setpgid(0, 0)
        prctl.set_name(launch.path.rpartition(".")[2])
        faulthandler.enable(file=self._last_words, all_threads=True)
        sys.stderr = KeptStderr(sys.stderr, page.log)
        streams.refuse_breakpoints()
        attach(self._host)
        code = 1
        try:
            live(self._host, launch, page, self._payload_fd, snapshots_fd, self._last_words)
            code = 0
        except SystemExit as error:
            page.say(formatted(error))
            code = exit_code(error)
        except BaseException as error:  # whatever the user's code raised is the death certificate's
            page.say(formatted(error))
            if isinstance(error, KeyboardInterrupt):
                raise
        finally:
            self._end(code)
        return code

    def _end(self, code: int) -> None:
        if self._page.words[CONTROL] != RUN:
            interpreter.end(code)  # its `shutdown` is counting
        else:
            interpreter.end(code, CRASH_SECONDS if code else ALONE_SECONDS)


def prepare(launch: Launch, actor: type[Actor]) -> None:
    """Have ready what all lives of a class need: its role; imports for a durable state. The zygote does, once."""
    with contextlib.suppress(Exception):  # told by the start
        learn(actor)
    if launch.durable is not None:
        with contextlib.suppress(ImportError):  # told by the start
            keeper.database()


def host_threads(gather: Gather, sock_fd: int, board_fd: int, stacks_fd: int) -> int:
    """Host actors in threads until the supervisor hangs up; returns the exit code. Called in a fork of the zygote.

    Its stacks go to a memory of its own (HO-1): a signal ends all of its actors, and their pages are theirs.
    """
    with contextlib.suppress(PermissionError):
        os.setpgid(0, 0)
    prctl.set_name("understudy-thr")
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # there is nobody whom a KeyboardInterrupt would be for
    faulthandler.enable(file=stacks_fd, all_threads=True)
    sys.stderr = stderr = SharedStderr(sys.stderr)
    streams.refuse_breakpoints()
    board = Board(board_fd, gather.seat, gather.pollers)
    lines = Lines(gather.directory, gather.system)
    endpoint = Endpoint(gather.directory, gather.system, lines, board, fifo_bytes=REPLY_FIFO_BYTES)
    attach(endpoint)  # of stray threads
    try:
        with socket.socket(fileno=sock_fd) as sock:
            ThreadHost(gather, sock, board_fd, stderr, endpoint.routes).run()
    finally:
        interpreter.end(0)  # the supervisor gives it `ensemble.EXIT_SECONDS`
    return 0


def warm_up(times: int) -> None:
    """See `runtime.process.zygote.ActorMain`."""
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(times):
            rehearsal().run()
    finally:
        if is_collecting:
            gc.enable()


@functools.cache
def rehearsal() -> Rehearsal:
    """The one of this process and its forks."""
    return Rehearsal()


def _last_words_file(page_fd: int, at: int) -> int:
    """A descriptor of the page that writes at the last words; they end the page, so a long stack is cut (PG-3)."""
    fd = os.open(f"/proc/self/fd/{page_fd}", os.O_RDWR | os.O_CLOEXEC)
    os.lseek(fd, at, os.SEEK_SET)
    return fd
