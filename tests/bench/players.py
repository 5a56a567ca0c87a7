"""The actors that the benches play with; small, so that what is measured is the machine."""

import os
from time import perf_counter_ns
from typing import Any

from actors import Actor, message


class Tally(Actor):
    """Counts."""

    def __init__(self) -> None:
        self.total = 0

    @message
    def add(self, n: int) -> int:
        """The small message."""
        self.total += n
        return self.total

    @message
    def pid(self) -> int:
        """Of its process."""
        return os.getpid()

    @message
    def take(self, payload: Any) -> int:
        """A payload; how many bytes it had."""
        return payload.nbytes if hasattr(payload, "nbytes") else len(payload)


class Busy(Tally):
    """Counts, and takes 10 µs for it."""

    @message
    def add(self, n: int) -> int:
        """The small message, with some work."""
        until = perf_counter_ns() + 10_000
        while perf_counter_ns() < until:
            pass
        self.total += n
        return self.total


class Ledger(Tally):
    """Counts, and has its count committed after each message."""

    def snapshot(self) -> int:
        """The state."""
        return self.total

    def restore(self, state: int) -> None:
        """Go on from it."""
        self.total = state


class Partner(Actor):
    """Plays ping-pong with another one, by tells."""

    def __init__(self) -> None:
        self.other: Any = None
        self.is_over = False

    @message
    def meet(self, other: "Partner") -> None:
        """Who is on the other side; a new game."""
        self.other = other
        self.is_over = False

    @message
    def known(self, left: int) -> None:
        """The ball; its sender is known."""
        if left:
            self.other.known.tell(left - 1)
        else:
            self.is_over = True

    @message
    def addressed(self, sender: "Partner", left: int) -> None:
        """The ball, with the address to send it back to."""
        if left:
            sender.addressed.tell(self.context.ref, left - 1)
        else:
            self.is_over = True

    @message
    def has_ended(self) -> bool:
        """The ball stopped here."""
        return self.is_over


class Driver(Actor):
    """A caller in a process of its own."""

    def __init__(self, target: Any) -> None:
        self.add = target.add

    @message
    def ask_often(self, count: int) -> int:
        """So many asks, one after the other."""
        add = self.add
        for _ in range(count):
            add(1)
        return count

    @message
    def tell_often(self, count: int) -> int:
        """So many tells."""
        tell = self.add.tell
        for _ in range(count):
            tell(1)
        return count


class Link(Actor):
    """Passes an ask on to the next of a chain."""

    def __init__(self, following: Any) -> None:
        self.following = following

    @message
    def add(self, n: int) -> int:
        """What the last of the chain answers."""
        value: int = self.following.add(n)
        return value
