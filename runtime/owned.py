"""The warden of a system that is this process's own: how it is started, told to end, and waited for.

    owner ── leash (a pipe) ─▶ warden: a byte in it, or its end of file, is the owner's end (runtime.warden, WA-3)
          ◀─ report (a pipe) ── the supervisor: it is up, or why not

OW-1  The leash is there before the process: whatever interrupts the start, even between a fork and its return, the
      process can be told to end, and is.
OW-2  Nobody waits without a bound for a warden that nobody told to end.
"""

import contextlib
import os
import subprocess

import msgspec

from actors.errors import BootFailed
from runtime.process import streams
from runtime.process.boot import Boot

_END_SECONDS = (
    5.0  # for what takes a warden whose supervisor has ended some milliseconds, and one that is let go a second
)


class OwnedWarden:
    """A warden's process, once it is started; owns both pipes."""

    def __init__(self) -> None:
        self._leash = -1
        self._process: subprocess.Popen[bytes] | None = None
        self._is_let_go = False

    def start(self, command: list[str], arguments: list[str]) -> Boot:
        """Start it; blocks until its supervisor is up, or cannot be.

        Args:
            command: what runs `runtime.warden.main`.
            arguments: to follow the descriptors of the report and the leash.
        Raises:
            BootFailed: it ended before it could say anything, or was let go before it began.
        """
        streams.fill()
        leash, self._leash = os.pipe2(os.O_CLOEXEC)
        if self._is_let_go:
            os.close(leash)
            raise BootFailed("its start was called off")
        read, write = os.pipe2(os.O_CLOEXEC)
        with open(read, "rb") as report:
            try:
                self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                    [*command, str(os.getpid()), str(write), str(leash), *arguments],
                    stdin=subprocess.DEVNULL,
                    pass_fds=[write, leash],
                    start_new_session=True,
                )
            finally:
                os.close(write)
                os.close(leash)
            raw = report.read()
        if not raw:
            raise BootFailed("the supervisor's process ended before it was ready")
        return msgspec.json.decode(raw, type=Boot)

    def let_go(self) -> None:
        """Tell it to end, if it has not: it stops the system in order if that is quick, and clears up."""
        self._is_let_go = True
        if self._leash >= 0:
            with contextlib.suppress(BrokenPipeError):  # it has ended
                os.write(self._leash, b"\0")

    def wait(self) -> None:
        """Wait until it has ended and cleared up, and see that it does (OW-2)."""
        process = self._process
        if process is not None:
            for step in (self.let_go, process.kill):
                try:
                    process.wait(_END_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    step()
            process.wait()
            self._process = None
        if self._leash >= 0:
            os.close(self._leash)
            self._leash = -1
        self._is_let_go = False
