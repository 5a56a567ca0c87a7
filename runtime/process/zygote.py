"""The zygote: imports the user's modules once, stays single-threaded, and forks actors off.

    supervisor ══ socketpair ══ zygote ─ fork ─ middle ─ fork ─ actor
                                                (reports the pid and exits: the actor is the supervisor's)

ZY-1  It forks only while it has one thread. A module that starts threads when it is imported spoils it: it says so and
      ends; a new zygote takes its place, and that class is imported in the actor's own process from then on.
ZY-2  What it unpickles comes from its supervisor's socketpair, which has no name.
ZY-3  It dies with its supervisor.
"""

import contextlib
import gc
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from actors.errors import Undecodable
from runtime.process import prctl
from runtime.process.order import Launch, Report, Setup, decode, encode
from runtime.wire.codec import Codec

_THREAD_POOLS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")  # `import numpy` starts OpenBLAS threads

Play = Callable[[Launch, int, int, int], int]
"""The main of an actor process: what to launch, descriptors of page, payload, board; returns the exit code."""


class Zygote:
    """The zygote's process, from the inside."""

    def __init__(self, sock: socket.socket, supervisor: int, play: Play) -> None:
        self._sock = sock
        self._supervisor = supervisor
        self._play = play
        self._codec = Codec()
        self._classes: dict[int, Any] = {}  # by payload: a restart finds everything imported
        self._restore = [name for name in _THREAD_POOLS if name not in os.environ]

    def run(self) -> NoReturn:
        """Serve orders until the supervisor is gone."""
        prctl.die_with_parent()
        prctl.set_name("understudy-zyg")
        if os.getppid() != self._supervisor:
            os._exit(0)
        while True:
            raw, fds, _, _ = socket.recv_fds(self._sock, 1 << 17, 3)
            if not raw:
                os._exit(0)
            order = decode(raw)
            if isinstance(order, Setup):
                _set_up(order)
            else:
                self._launch(order, fds)
            for fd in fds:
                os.close(fd)

    def _launch(self, launch: Launch, fds: list[int]) -> None:
        if launch.warm and launch.key not in self._classes and not self._import(launch, fds[1]):
            return
        try:
            middle = os.fork()
        except OSError as exc:
            self._report(launch, error=f"fork: {exc}")
            return
        if middle == 0:
            self._be_middle(launch, fds)
        os.waitpid(middle, 0)

    def _import(self, launch: Launch, payload_fd: int) -> bool:
        """Import the actor's class; False when that failed or started threads, which has been reported (ZY-1)."""
        before = set(sys.modules)
        for name in self._restore:
            os.environ[name] = "1"
        try:
            self._classes[launch.key] = self._codec.decode_value(1, class_part(payload_fd))
        except Undecodable as exc:
            self._report(launch, error="".join(traceback.format_exception(exc.__cause__ or exc)))
            return False
        except BaseException:  # noqa: BLE001  # SystemExit and the like in a user's module: its start failed
            self._report(launch, error=traceback.format_exc())
            return False
        finally:
            for name in self._restore:
                os.environ.pop(name, None)
        if len(os.listdir("/proc/self/task")) > 1:
            self._report(launch, threads=_culprit(set(sys.modules) - before))
            os._exit(0)
        gc.collect()
        gc.freeze()  # what is shared stays shared: the collector would write to it in every actor
        return True

    def _be_middle(self, launch: Launch, fds: list[int]) -> NoReturn:
        middle = os.getpid()
        try:
            actor = os.fork()
        except OSError as exc:
            self._report(launch, error=f"fork: {exc}")
            os._exit(1)
        if actor:
            self._report(launch, pid=actor)
            os._exit(0)
        self._be_actor(launch, middle, fds)

    def _be_actor(self, launch: Launch, middle: int, fds: list[int]) -> NoReturn:
        code = 1
        try:
            with contextlib.suppress(PermissionError):
                os.setpgid(0, 0)
            wait_for_parent(self._supervisor, middle)
            self._sock.close()
            code = self._play(launch, *fds)
        except SystemExit as exc:
            code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
        except BaseException:  # noqa: BLE001  # nothing may return into the zygote's loop
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code & 0xFF)

    def _report(self, launch: Launch, *, pid: int = 0, error: str = "", threads: str = "") -> None:
        self._sock.send(encode(Report(launch.token, pid, error[-32_768:], threads)))


def class_part(payload_fd: int) -> bytes:
    """The part of a payload that is only the actor's class: all a zygote decodes."""
    size = int.from_bytes(os.pread(payload_fd, 4, 0), "little")
    return os.pread(payload_fd, size, 4)


def constructor_part(payload_fd: int) -> bytes:
    """The part of a payload that is the whole constructor call: decoded in the actor."""
    skip = 4 + int.from_bytes(os.pread(payload_fd, 4, 0), "little")
    return os.pread(payload_fd, os.fstat(payload_fd).st_size - skip, skip)


def joined_payload(class_part: bytes, constructor_part: bytes) -> bytes:
    """A payload of both parts."""
    return len(class_part).to_bytes(4, "little") + class_part + constructor_part


def wait_for_parent(supervisor: int, middle: int) -> None:
    """Wait until the middle process is gone and we are the supervisor's; then die when it dies.

    PDEATHSIG set earlier would go off at the middle's exit. Any third parent: the supervisor is gone.
    """
    while (parent := os.getppid()) != supervisor:
        if parent != middle:
            os._exit(0)
        os.sched_yield()
    prctl.die_with_parent()
    if os.getppid() != supervisor:
        os._exit(0)


def reset_signals() -> None:
    """Default dispositions, as a fresh interpreter has them; SIGPIPE stays ignored."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def close_all_but(keep: set[int]) -> None:
    """Close every descriptor but these and 0 to 2."""
    low = 3
    for fd in sorted(keep):
        if fd >= low:
            os.closerange(low, fd)
            low = fd + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))


def _set_up(setup: Setup) -> None:
    sys.path[:] = setup.path
    sys.argv[:] = setup.argv


def _culprit(modules: set[str]) -> str:
    """The module to name in the warning: of the newly imported ones the topmost that knows threads."""
    with_threads = sorted(name for name in modules if hasattr(sys.modules.get(name), "threading"))
    return (with_threads or sorted(modules) or ["unknown"])[0]
