"""The stock: spare processes, as the supervisor holds them; each waits for its order at the other end of a socket.

SK-1  A spare gets an order only of what had been imported when it was forked: what is new dismisses all of them.
SK-2  A spare ends when its socket is closed: it is dismissed, or the supervisor is gone.
SK-3  One that cannot take an order at once is left alone: it is still warming up, and a fork is as quick.
"""

import hashlib
import socket
from collections import deque
from dataclasses import dataclass

from runtime.process.order import Launch, encode
from runtime.process.zygote import IS_WARM, class_part


@dataclass(slots=True)
class _Spare:
    pid: int
    sock: socket.socket
    is_warm: bool = False

    def is_ready(self) -> bool:
        """It could take an order without delay.

        Raises:
            OSError: it is gone.
        """
        if not self.is_warm:
            try:
                self.is_warm = self.sock.recv(len(IS_WARM)) == IS_WARM
            except BlockingIOError:
                return False
            if not self.is_warm:
                raise BrokenPipeError
        return True


class Stock:
    """The spares, and what they are known to have imported. Owns their sockets."""

    def __init__(self) -> None:
        self._spares: deque[_Spare] = deque()
        self._known: set[bytes] = set()
        self._ordered = 0
        self.wanted = 1

    def learn(self, what: bytes) -> None:
        """From now on that is imported before a spare is forked (SK-1)."""
        if what not in self._known:
            self._known.add(what)
            self.dismiss()

    def order(self) -> int:
        """How many more are to be forked; they are counted as under way from now on."""
        while len(self._spares) > self.wanted:
            self._spares.pop().sock.close()
        missing = max(0, self.wanted - len(self._spares) - self._ordered)
        self._ordered += missing
        return missing

    def add(self, pid: int, fds: list[int]) -> None:
        """One that was ordered; pid 0: it could not be forked, or without a descriptor: not be received."""
        self._ordered = max(0, self._ordered - 1)
        for fd in fds:
            sock = socket.socket(fileno=fd)
            if pid and len(self._spares) < self.wanted:
                sock.setblocking(False)
                self._spares.append(_Spare(pid, sock))
            else:
                sock.close()

    def hand_over(self, launch: Launch, what: bytes, fds: list[int]) -> int:
        """Give the order to a spare; returns its pid, or 0 when there is none that is ready, lives and knows it."""
        if what not in self._known:
            return 0
        for spare in list(self._spares):
            try:
                if not spare.is_ready():  # SK-3
                    continue
                socket.send_fds(spare.sock, [encode(launch)], fds)
                pid = spare.pid
            except OSError:  # it was killed
                pid = 0
            self._spares.remove(spare)
            spare.sock.close()
            if pid:
                return pid
        return 0

    def dismiss(self) -> None:
        """Let go of all that are here (SK-2)."""
        for spare in self._spares:
            spare.sock.close()
        self._spares.clear()

    def clear(self) -> None:
        """The zygote is gone, and with it what is under way and all it has imported."""
        self.dismiss()
        self._known.clear()
        self._ordered = 0


def what_of(launch: Launch, payload_fd: int) -> bytes:
    """What has to be imported for a launch, in brief: equal ones need the same."""
    digest = hashlib.blake2b(class_part(payload_fd), digest_size=16).digest()
    return digest + bytes([launch.durable is not None])
