"""Commits: which messages' effects are committed together, in an actor with snapshots.

CM-1  An ask is committed before its answer is sent, and everything before it with it.
CM-2  Up to `every` tells that come one after the other share a commit. They are not done before it: a crash runs them
      again, or ends them, as the one in hand. Nothing waits for them but their effect: an ask commits them, and so does
      an empty journal, a timer and the end.
CM-3  One that runs again is committed alone, so that it does not share the fate of the message that ended the actor.
"""

from collections.abc import Callable, Container, Sequence
from typing import Any

from runtime.mailbox.lane import Lane, Token
from runtime.wire.frame import DONE, STATE_AT
from runtime.wire.parts import Payload

Commit = Callable[[int, int, int, bytes, Sequence[tuple[int, int]]], None]
"""Commits the actor's state: the journal's epoch, the frame's place, the answer's address, the answer, and epochs and
places of the tells before it that share the commit."""


class Commits:
    """What an inbox commits, and when."""

    __slots__ = ("_commit", "_every", "_group", "_leases", "_unsnapped", "_words")

    def __init__(
        self,
        commit: Commit,
        unsnapped: Container[str],
        every: int,
        words: Any,  # a memoryview, which mypy has no format of
        leases: dict[tuple[Lane, int], Payload],
    ) -> None:
        """Commit what is handled.

        Args:
            commit: does it.
            unsnapped: names of the messages after which it is not done.
            every: so many tells may share one.
            words: of the page.
            leases: large bodies of messages that are not done.
        """
        self._commit = commit
        self._unsnapped = unsnapped
        self._every = every
        self._words = words
        self._leases = leases
        self._group: list[Token] = []  # handled, and not committed

    def include(self, token: Token, name: str, answer: bytes, *, alone: bool = False) -> bool:
        """Commit the state that a message left, with its answer.

        Args:
            name: of the message; "" of one that raised, which is committed in any case.
            alone: do not leave it to a later message.
        Returns:
            False: it is left to a later one (CM-2), and the message is not done before that.
        """
        lane, at, ask_id, reply_to = token
        if name in self._unsnapped:
            if ask_id:
                self.settle()
            return True
        if not (ask_id or alone) and len(self._group) + 1 < self._every:
            self._group.append(token)
            return False
        self._commit(self._words[lane.epoch], (at + 1) | lane.mark, reply_to, answer, self._places())
        self._end_group()
        return True

    def include_timer(self) -> None:
        """Commit what a timer did."""
        self._commit(0, 0, 0, b"", self._places())
        self._end_group()

    def settle(self) -> None:
        """Commit what is left to a later message: there is none."""
        if self._group:
            self.include_timer()

    def _places(self) -> list[tuple[int, int]]:
        return [(self._words[lane.epoch], (at + 1) | lane.mark) for lane, at, _, _ in self._group]

    def _end_group(self) -> None:
        for lane, at, _, _ in self._group:
            lane.view[at + STATE_AT] = DONE
            if self._leases:
                self._leases.pop((lane, at), None)
        self._group.clear()
