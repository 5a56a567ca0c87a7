"""The stock: spare processes, as the supervisor holds them; each waits for its order at the other end of a socket.

SK-1  A spare gets an order only of what had been imported when it was forked: what is new dismisses all of them.
SK-2  A spare ends when its socket is closed: it is dismissed, or the supervisor is gone.
SK-3  One that cannot take an order at once is left alone: it is still warming up, and a fork is as quick.
"""

import hashlib
import os
import socket
from collections import deque

from runtime.process.order import Launch, encode
from runtime.process.payload import class_part
from runtime.process.zygote import IS_WARM


class Waiting:
    """A process that waits for an order; owns the socket that it would come by."""

    def __init__(self, pid: int, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.pid = pid
        self._sock = sock
        self._is_warm = False

    def is_ready(self) -> bool:
        """It could take an order without delay.

        Raises:
            OSError: it is gone.
        """
        if not self._is_warm:
            try:
                self.hear()
            except BlockingIOError:
                return False
        return True

    def hear(self) -> None:
        """It has said that it is warm, or has ended.

        Raises:
            BlockingIOError: neither.
            OSError: it is gone.
        """
        self._is_warm = self._sock.recv(len(IS_WARM)) == IS_WARM
        if not self._is_warm:
            raise BrokenPipeError

    def fileno(self) -> int:
        """Of the socket: readable when there is something to hear."""
        return self._sock.fileno()

    def order(self, raw: bytes, fds: list[int]) -> None:
        """Give it the order.

        Raises:
            OSError: it is gone.
        """
        socket.send_fds(self._sock, [raw], fds)
        os.sched_yield()  # woken on our CPU it would wait until we wait: with what is less urgent done first

    def dismiss(self) -> None:
        """Let go of it (SK-2)."""
        self._sock.close()


class Stock:
    """The spares, and what they are known to have imported. Owns their sockets."""

    def __init__(self) -> None:
        self._spares: deque[Waiting] = deque()
        self._known: set[bytes] = set()
        self._ordered = 0
        self.wanted = 1

    def knows(self, what: bytes) -> bool:
        """That is imported before a spare is forked."""
        return what in self._known

    def learn(self, what: bytes) -> bool:
        """From now on that is imported before a spare is forked (SK-1); False when it was before."""
        if what in self._known:
            return False
        self._known.add(what)
        self.dismiss()
        return True

    def order(self) -> int:
        """How many more are to be forked; they are counted as under way from now on."""
        while len(self._spares) > self.wanted:
            self._spares.pop().dismiss()
        missing = max(0, self.wanted - len(self._spares) - self._ordered)
        self._ordered += missing
        return missing

    def not_ordered(self, count: int) -> None:
        """So many that `order` has counted could not be ordered."""
        self._ordered -= count

    def add(self, pid: int, fds: list[int]) -> None:
        """One that was ordered; pid 0: it could not be forked, or without a descriptor: not be received."""
        self._ordered = max(0, self._ordered - 1)
        for fd in fds:
            sock = socket.socket(fileno=fd)
            if pid and len(self._spares) < self.wanted:
                self._spares.append(Waiting(pid, sock))
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
                spare.order(encode(launch), fds)
            except OSError:  # it was killed
                pid = 0
            else:
                pid = spare.pid
            self._spares.remove(spare)
            spare.dismiss()
            if pid:
                return pid
        return 0

    def dismiss(self) -> None:
        """Let go of all that are here (SK-2)."""
        for spare in self._spares:
            spare.dismiss()
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
