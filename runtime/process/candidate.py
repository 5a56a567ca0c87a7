"""Candidates: a zygote beside the one that serves, which imports new code first, and takes its place if that goes well.

CA-1  Nothing that runs is touched by it, and the present zygote goes on as it is: code that cannot be imported, that
      hangs, or that ends the process changes nothing.
"""

import asyncio
import contextlib
import os
import signal
import socket
from dataclasses import dataclass

from runtime.process import exit as process_exit
from runtime.process.order import Import, Launch, Report, Setup, decode_report, encode

_DUMP_SECONDS = 1.0  # for the stacks of an import that hangs: they take milliseconds
_STACKS_BYTES = 32768
_REPORT_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of an import.

    Attributes:
        error: why it failed; "" when it did not.
        stacks: where it hung.
        is_over: the candidate has ended by it, and imports nothing more.
    """

    error: str = ""
    stacks: str = ""
    is_over: bool = False


class Candidate:
    """One candidate. Owns its socket and the memory of its stacks, until it is adopted."""

    def __init__(self, pid: int, sock: socket.socket, stacks_fd: int, setup: Setup | None) -> None:
        """Be the supervisor's side of a fresh zygote, which gets these surroundings."""
        self.pid = pid
        self.sock = sock
        self.stacks_fd = stacks_fd
        if setup is not None:
            with contextlib.suppress(OSError):  # it has been killed: the first import says so
                sock.send(encode(setup))

    async def import_code(self, launch: Launch, payload_fd: int, seconds: float | None) -> Imported:
        """Import what that launch needs; one import at a time.

        Args:
            payload_fd: of the launch.
            seconds: how long it may take; None: as long as it takes.
        """
        try:
            socket.send_fds(self.sock, [encode(Import(launch))], [payload_fd])
            async with asyncio.timeout(seconds):
                raw = await asyncio.get_running_loop().sock_recv(self.sock, _REPORT_BYTES)
        except TimeoutError:
            return Imported("the import of its module did not return in time", await self._stacks(), is_over=True)
        except OSError:
            raw = b""
        if not raw:
            return Imported("the import of its module ended the process", is_over=True)
        report = decode_report(raw)
        if isinstance(report, Report) and not report.threads:
            return Imported(report.error)
        return Imported(is_over=True)  # its import starts threads: it went well, and is done in the actor from now on

    def drop(self) -> None:
        """It is not wanted: its process ends, and is reaped by the sweeper."""
        self.sock.close()
        os.close(self.stacks_fd)
        process_exit.kill(self.pid)

    async def _stacks(self) -> str:
        """Have it write down where it hangs, and end."""
        process_exit.kill(self.pid, signal.SIGABRT)
        process_exit.kill(self.pid, signal.SIGCONT)  # after it: one that was stopped wakes up into its abort
        try:
            async with asyncio.timeout(_DUMP_SECONDS):
                while await asyncio.get_running_loop().sock_recv(self.sock, _REPORT_BYTES):
                    pass
        except (TimeoutError, OSError):
            process_exit.kill(self.pid)
        return os.pread(self.stacks_fd, _STACKS_BYTES, 0).split(b"\0", 1)[0].decode(errors="replace")
