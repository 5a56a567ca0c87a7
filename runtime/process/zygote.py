"""The zygote: imports the user's modules once, stays single-threaded, and forks actors off.

    supervisor ══ socketpair ══ zygote ─ fork ─ actor (the supervisor's child: runtime.process.fork)
        └───────── socketpair ══ spare or understudy, which becomes an actor

A fork of a process with everything imported takes some milliseconds, so it is done ahead: a spare, forked and idle,
waits for its order, and a launch is a wake-up. Its socket goes to the supervisor, which gives it the order without the
zygote (runtime.process.stock). An understudy waits likewise, and knows its part already: it is a spare of one actor.
Both are forked when there is nothing else to do.

ZY-1  It forks only while it has one thread. A module that starts threads when it is imported spoils it: it says so and
      ends; a new zygote takes its place, and that class is imported in the actor's own process from then on.
ZY-2  What it unpickles comes from its supervisor's socketpair, which has no name.
ZY-3  It dies with its supervisor, and so do those that wait. Until its order such a process is in the zygote's process
      group, which is how the supervisor tells it from what an actor left behind.
ZY-4  What it is to fork it settles first: rehearsed (runtime.rehearsal), and frozen, so that the collector writes to
      nothing that is shared. Not before the first launch after an import, which somebody waits for; before the second.
      Its heap it collects into large pages (runtime.process.heap) when nobody waits, before it forks spares.
ZY-5  Where an import hangs is written down at SIGABRT by faulthandler, which needs no GIL.
ZY-6  Whatever it forks, and whatever an import starts, is marked (runtime.process.mark): so it is known whose it is.
"""

import contextlib
import faulthandler
import gc
import os
import select
import socket
import sys
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from actors.errors import Undecodable
from runtime.process import heap, interpreter, mark, prctl, streams
from runtime.process.fork import (
    can_fork_sibling,
    fork_sibling,
    fork_twice,
    loaded_libraries,
    reset_signals,
    wait_for_parent,
)
from runtime.process.order import Gather, Import, Launch, Report, Setup, Spare, Spares, Study, decode, encode
from runtime.process.payload import class_part
from runtime.wire.codec import Codec
from runtime.wire.codec_arrival import become_script

_THREAD_POOLS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")  # `import numpy` starts OpenBLAS threads
_ORDER_BYTES = 1 << 16
_ORDER_FDS = 4
ENTER = b"enter"  # said to an understudy: it is to take its part
IS_WARM = b"w"  # said by a spare once it could take an order without delay
_IDLE_AFTER_MS = 10  # an actor that is just being started has better use for the CPU
_REHEARSALS = 12  # CPython 3.11 notes something at each of the first eight runs of a code object, and then specializes


class Part(Protocol):
    """An actor's part that has been studied (`ActorMain.study`)."""

    def play(self, snapshots_fd: int, /) -> int:
        """Be the actor until its end; returns the exit code."""
        ...


class ActorMain(Protocol):
    """What a process does once it is an actor's: `runtime.host`, which stands on a higher floor."""

    def play(self, launch: Launch, page_fd: int, payload_fd: int, board_fd: int, snapshots_fd: int = -1, /) -> int:
        """Be the actor until its end; returns the exit code. snapshots_fd: -1 for an actor without snapshots."""
        ...

    def study(self, launch: Launch, page_fd: int, payload_fd: int, board_fd: int, /) -> Part:
        """Do all of `play` that can be done while another process still plays the part."""
        ...

    def prepare(self, launch: Launch, actor: Any, /) -> None:
        """Do, in the zygote, what every launch of this class needs and others do not."""
        ...

    def host_threads(self, gather: Gather, sock_fd: int, board_fd: int, stacks_fd: int, /) -> int:
        """Be the host of several actors, each in a thread, until the supervisor hangs up; returns the exit code."""
        ...

    def warm_up(self, times: int, /) -> None:
        """Do ahead, so often, what can be done before an order comes."""
        ...


class Zygote:
    """The zygote's process, from the inside."""

    def __init__(self, sock: socket.socket, supervisor: int, main: ActorMain, stacks_fd: int, marks: int) -> None:
        """Be the zygote of a supervisor.

        Args:
            sock: to it.
            supervisor: its pid.
            main: what an actor process does.
            stacks_fd: of the memory that the stacks of a fatal signal are written to (ZY-5).
            marks: the system that its mark and those of its actors are of (ZY-6).
        """
        self._sock = sock
        self._stacks_fd = stacks_fd
        self._marks = marks
        self._supervisor = supervisor
        self._main = main
        self._codec = Codec()
        # by their encoding, and whether they are durable: a restart finds everything imported
        self._classes: dict[tuple[bytes, bool], Any] = {}
        self._restore = [name for name in _THREAD_POOLS if name not in os.environ]
        self._owed = 0  # spares
        self._studies: deque[tuple[Study, list[int]]] = deque()  # understudies still to be forked
        self._stretches: list[int] | None = []  # of the heap, still to be collected; None: to be looked for
        self._written = heap.Written()
        self._is_rehearsed = self._is_settled = self._has_launched = False
        self._libraries = loaded_libraries()  # ours: none of them has handlers that matter (FO-3)
        self._forks_siblings = can_fork_sibling(set())

    def run(self) -> NoReturn:
        """Serve orders until the supervisor is gone."""
        prctl.die_with_parent()
        prctl.set_name("understudy-zyg")
        os.setpgid(0, 0)
        mark.put_on(self._marks)  # no subreaper where it cannot be: what is forked twice would be handed to us
        if os.getppid() != self._supervisor:
            os._exit(0)
        faulthandler.enable(file=self._stacks_fd, all_threads=True)
        become_script()
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        while True:
            if self._has_leisure_work() and not poll.poll(_IDLE_AFTER_MS):
                self._use_leisure(lambda: not poll.poll(0))
                continue
            raw, fds = received(self._sock)
            if not raw:
                os._exit(0)
            self._obey(raw, fds)
            for fd in fds:
                os.close(fd)

    def _obey(self, raw: bytes, fds: list[int]) -> None:
        match decode(raw):
            case Setup(path, argv):
                sys.path[:] = map(os.fsdecode, path)
                sys.argv[:] = map(os.fsdecode, argv)
            case Spares(count):
                self._owed += count
            case Study() as study:
                self._studies.append((study, fds.copy()))
                fds.clear()  # ours until it is forked
            case Launch() as launch:
                if not launch.warm or self._import(launch, class_part(fds[1])):
                    self._launch(launch, fds)
            case Gather() as gather:
                self._launch(gather, fds)
            case Import(launch):
                if self._import(launch, class_part(fds[0])):
                    self._report(launch)

    def _has_leisure_work(self) -> bool:
        if self._studies:
            return True
        return bool(self._classes) and (not self._is_settled or self._stretches != [] or self._owed > 0)

    def _use_leisure(self, is_idle: Callable[[], bool]) -> None:
        """Do some of the work that nobody waits for."""
        if self._classes and not self._is_settled:
            self._settle()
        elif self._stretches is None:
            self._stretches = []
            with contextlib.suppress(OSError):  # HE-1
                self._stretches.extend(heap.stretches())
        elif self._stretches:
            while self._stretches and is_idle():
                with contextlib.suppress(OSError):  # HE-1
                    heap.collect(self._stretches.pop())
            self._written.rearranged()
        elif self._studies:
            self._fork_understudy(*self._studies.popleft())
        else:
            self._fork_spare()

    def _settle(self) -> None:
        """Make ready to be forked often (ZY-4)."""
        if not self._is_rehearsed:
            self._main.warm_up(_REHEARSALS)
        gc.collect()
        gc.freeze()
        self._written.rearranged()
        self._stretches = None
        self._is_rehearsed = self._is_settled = True

    def _launch(self, launch: Launch | Gather, fds: list[int]) -> None:
        if self._has_launched and not self._is_settled:
            self._settle()
        self._has_launched = True
        try:
            actor = self._forked(lambda: self._play(launch, fds))
        except OSError as exc:
            self._report(launch, error=f"fork: {exc}")
        else:
            self._report(launch, pid=actor)

    def _play(self, launch: Launch | Gather, fds: list[int]) -> int:
        match launch:
            case Launch():
                return self._main.play(launch, *fds)
            case Gather():
                sock_fd, board_fd, stacks_fd = fds
                return self._main.host_threads(launch, sock_fd, board_fd, stacks_fd)

    def _fork_spare(self) -> None:
        self._owed -= 1

        def spare(sock: socket.socket) -> int:
            raw, fds = _waited(sock)
            launch = decode(raw)
            return self._play(launch, fds) if isinstance(launch, Launch) else 1

        self._fork_waiting(spare)

    def _fork_understudy(self, study: Study, fds: list[int]) -> None:
        launch = study.launch
        kind = class_part(fds[1]), launch.durable is not None
        pages = self._written.by(kind, study.like)

        def understudy(sock: socket.socket) -> int:
            part = self._main.study(launch, *fds)
            with contextlib.suppress(OSError):  # HE-1
                heap.copy(pages)
            _, snapshots = _waited(sock)
            return part.play(*snapshots or [-1])

        if kind in self._classes:
            self._fork_waiting(understudy, launch.token)
        else:  # nobody waits for it who could be told why an import failed
            self._sock.send(encode(Spare(0, launch.token)))
        for fd in fds:
            os.close(fd)

    def _fork_waiting(self, main: Callable[[socket.socket], int], token: int = 0) -> None:
        """Fork a process that runs main() with its end of a socket, and report it with the other."""
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError:  # no more descriptors to be had
            self._sock.send(encode(Spare(0, token)))
            return

        def waiting() -> int:
            ours.close()
            self._main.warm_up(1)
            return main(theirs)

        try:
            pid = self._forked(waiting)
        except OSError:
            pid = 0  # no more processes to be had: launches say so themselves
        socket.send_fds(self._sock, [encode(Spare(pid, token))], [ours.fileno()])
        ours.close()
        theirs.close()

    def _forked(self, main: Callable[[], int]) -> int:
        """Fork an actor, the supervisor's child, that runs main(); returns its pid."""
        streams.flush()
        if self._forks_siblings:
            pid = fork_sibling() or self._be_actor(0, main)
        else:
            pid = fork_twice(lambda middle: self._be_actor(middle, main))
        self._written.forked(pid)
        return pid

    def _be_actor(self, middle: int, main: Callable[[], int]) -> NoReturn:
        code = 1
        try:
            wait_for_parent(self._supervisor, middle)
            if not mark.put_on(self._marks):
                prctl.become_subreaper()  # MK-2
            self._sock.close()
            for fd in (fd for _, fds in self._studies for fd in fds):
                os.close(fd)
            faulthandler.disable()  # an actor has last words of its own
            os.close(self._stacks_fd)
            reset_signals()
            interpreter.begin()
            code = main()
        except SystemExit as exc:
            code = exit_code(exc)
        except BaseException:  # nothing may return into the zygote's loop
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _import(self, launch: Launch, encoded: bytes) -> bool:
        """Import the actor's class; False when that failed or started threads, which has been reported (ZY-1)."""
        key = encoded, launch.durable is not None
        if key in self._classes:
            return True
        before = set(sys.modules)
        for name in self._restore:
            os.environ[name] = "1"
        try:
            self._classes[key] = self._codec.decode_value(1, encoded)
            self._main.prepare(launch, self._classes[key])
        except Undecodable as exc:
            self._report(launch, error="".join(traceback.format_exception(exc.__cause__ or exc)))
            return False
        except BaseException:  # SystemExit and the like in a user's module: its start failed
            self._report(launch, error=traceback.format_exc())
            return False
        finally:
            for name in self._restore:
                os.environ.pop(name, None)
        if len(os.listdir("/proc/self/task")) > 1:
            self._report(launch, threads=_culprit(set(sys.modules) - before))
            os._exit(0)
        if len(sys.modules) > len(before):
            self._is_settled = self._has_launched = False
            self._forks_siblings = can_fork_sibling(loaded_libraries() - self._libraries)
        return True

    def _report(self, launch: Launch | Gather, *, pid: int = 0, error: str = "", threads: str = "") -> None:
        self._sock.send(encode(Report(launch.token, pid, error[-32_768:], threads)))


def _waited(sock: socket.socket) -> tuple[bytes, list[int]]:
    """Say that all is warm, and wait for the order; a process that is dismissed ends here."""
    try:
        sock.send(IS_WARM)
        raw, fds = received(sock)
    except OSError:  # it was dismissed before it was warm
        raw, fds = b"", []
    if not raw:
        os._exit(0)
    sock.close()
    return raw, fds


def received(sock: socket.socket) -> tuple[bytes, list[int]]:
    """An order and its descriptors, which no program that an actor starts inherits."""
    raw, fds, _, _ = socket.recv_fds(sock, _ORDER_BYTES, _ORDER_FDS)
    for fd in fds:
        os.set_inheritable(fd, False)  # recv_fds drops its flags argument, MSG_CMSG_CLOEXEC among them (Python 3.11)
    return raw, fds


def exit_code(exc: SystemExit) -> int:
    """The code of a process, or of a thread that is an actor, that ends by it."""
    return (exc.code if isinstance(exc.code, int) else int(exc.code is not None)) & 0xFF


def _culprit(modules: set[str]) -> str:
    """The module to name in the warning: of the newly imported ones the topmost that knows threads."""
    with_threads = sorted(name for name in modules if hasattr(sys.modules.get(name), "threading"))
    return (with_threads or sorted(modules) or ["unknown"])[0]
