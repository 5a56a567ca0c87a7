"""Callers: the reply FIFOs the supervisor holds, and what it writes to them itself, for actors that cannot.

CA-1  A FIFO is held as long as the connection that asked for it; it goes with its name when that is closed.
CA-2  Writing never blocks: what a caller has no room for is kept, bounded, and written when it has read.
CA-3  Answers that a caller has not read go with it, and their large payloads; those that it holds, with its process.
"""

import asyncio
import contextlib
import os
import random
from collections import deque

import msgpack

from actors.certificate import DeathCertificate
from actors.errors import Delivered
from runtime.mailbox import fifo
from runtime.vault import Vault
from runtime.wire.frame import DEATH, MAX_REPLY, STOPPED, Header, bodies_of, reply

_AGAIN_SECONDS = 1.0
_MOST_KEPT = 4096  # frames for one caller that does not read


class Callers:
    """All reply FIFOs of the system."""

    def __init__(self, root: str, vault: Vault) -> None:
        """Keep the FIFOs below root.

        Args:
            root: the runtime directory.
            vault: of the slabs that answers are in.
        """
        self._vault = vault
        self._directory = f"{root}/replies"
        os.mkdir(self._directory, 0o700)
        self._fds: dict[int, int] = {}
        self._kept: dict[int, deque[bytes]] = {}

    def open(self, nbytes: int) -> int:
        """Make a reply FIFO and hold it; returns its number, which is its name in hexadecimal.

        Raises:
            OSError: no room, no descriptors; nothing is left of it.
        """
        number = random.SystemRandom().getrandbits(63) | 1
        path = f"{self._directory}/{number:016x}"
        try:
            held, _ = fifo.create(path, nbytes)
        except OSError:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            raise
        self._fds[number] = held
        return number

    def restore(self) -> None:
        """Somebody has removed the directory: make it again, with all names.

        Raises:
            OSError: they cannot be made.
        """
        os.mkdir(self._directory, 0o700)
        for number, fd in self._fds.items():
            fifo.link(fd, f"{self._directory}/{number:016x}")

    def close(self, number: int) -> None:
        """The caller is gone."""
        fd = self._fds.pop(number, None)
        if fd is None:
            return
        if self._kept.pop(number, None) is not None:
            asyncio.get_running_loop().remove_writer(fd)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self._directory}/{number:016x}")
        os.close(fd)
        for pid in self._vault.caller_gone(number):  # CA-3
            self._watch(number, pid)

    def _watch(self, number: int, pid: int) -> None:
        """Free what a process holds of a caller's answers when it has ended: it may have detached, and read on."""
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            self._vault.holder_gone(number, pid)
            return
        except OSError:  # no descriptor left
            asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._watch, number, pid)
            return
        asyncio.get_running_loop().add_reader(pidfd, self._on_holder_ended, number, pid, pidfd)

    def _on_holder_ended(self, number: int, pid: int, pidfd: int) -> None:
        asyncio.get_running_loop().remove_reader(pidfd)
        os.close(pidfd)
        self._vault.holder_gone(number, pid)

    def tell_death(self, header: Header, certificate: DeathCertificate, delivered: Delivered) -> None:
        """Answer an ask whose actor died."""
        payload = b""
        for nbytes in (3000, 1500, 0):
            payload = msgpack.packb([delivered, certificate.trimmed(nbytes).to_dict()])
            if len(payload) <= MAX_REPLY:
                break
        self.send(header.reply_to, reply(DEATH, header.ask_id, payload))

    def tell_stopped(self, header: Header, detail: str) -> None:
        """Answer an ask that nobody will handle."""
        self.send(header.reply_to, reply(STOPPED, header.ask_id, detail.encode()[:1000]))

    def send(self, number: int, raw: bytes) -> None:
        """Write a reply frame (CA-2); nothing happens when the caller is gone."""
        fd = self._fds.get(number)
        for body in bodies_of(raw):
            if fd is None:
                self._vault.end_payload(body)
            else:
                self._vault.written(body)
        if fd is None:  # the caller is gone: nobody to tell
            return
        kept = self._kept.get(number)
        if kept is not None:
            if len(kept) < _MOST_KEPT:
                kept.append(raw)
            return
        try:
            os.write(fd, raw)
        except BlockingIOError:
            self._kept[number] = deque([raw])
            asyncio.get_running_loop().add_writer(fd, self._on_writable, number)

    def names(self, number: int, body: int) -> bool:
        """Whether an answer that waits for that caller names that large payload.

        Raises:
            OSError: not all of it could be looked at.
        """
        fd, raw = self._fds.get(number), body.to_bytes(8, "little")
        return fd is not None and (any(raw in kept for kept in self._kept.get(number, ())) or raw in fifo.peek(fd))

    def _on_writable(self, number: int) -> None:
        kept, fd = self._kept[number], self._fds[number]
        try:
            while kept:
                os.write(fd, kept[0])
                kept.popleft()
        except BlockingIOError:
            return
        del self._kept[number]
        asyncio.get_running_loop().remove_writer(fd)
