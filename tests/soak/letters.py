"""The letters of one round, held against the messages: each tell that did not run to its end is one, and nothing else. Pure.

LT-1  As many letters of tells as tells that were accepted and did not run to their end: fewer, and one went without a word.
LT-2  And no more, but for tells whose sender was killed before it knew that they had been taken, and one for each kill,
      ask or tell: the handler had ended, the answer may have been written, and the frame was not done yet.
LT-3  An ask that was not answered may be a letter; an expired one is none. So of asks there may be fewer.
LT-4  Every message of the soak can be decoded.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from tests.soak.ledger import ASK, LEFT, LEFT_IN_HAND, UNREAD, Record
from tests.soak.report import Report

ZYGOTE = 0


@dataclass(slots=True)
class Tells:
    """What letters one actor's messages make.

    Attributes:
        must: tells that are letters.
        may: tells that may be.
        asks: asks that may be.
    """

    must: int = 0
    may: int = 0
    asks: int = 0


class Letters:
    """Of one round, by actor."""

    def __init__(self) -> None:
        self.told: dict[int, Counter[int]] = defaultdict(Counter)
        self.asked: dict[int, Counter[int]] = defaultdict(Counter)
        self._left: Counter[int] = Counter()

    def add(self, record: Record) -> None:
        """One was found."""
        (self.asked if record.flags & ASK else self.told)[record.actor][record.detail] += 1
        if not record.flags & ASK and record.detail in (LEFT, LEFT_IN_HAND):
            self._left[record.actor] += 1

    def take_left(self, actor: int) -> bool:
        """Use up a letter of a tell that was left when its actor was stopped for good."""
        is_there = self._left[actor] > 0
        self._left[actor] -= is_there
        return is_there

    def judge(self, report: Report, expected: Mapping[int, Tells], kills: Mapping[int, int], *, exact: int) -> None:
        """Compare.

        Args:
            expected: by actor.
            kills: of each actor; of the zygote too, whose death is that of an actor it was about to start.
            exact: the actor of which it is known what is done, since that is committed (LT-2).
        """
        for actor in {*self.told, *self.asked, *expected}:
            found, asked, tells = self.told[actor], self.asked[actor], expected.get(actor, Tells())
            report.letters += found.total() + asked.total()
            spare = 0 if actor == exact else kills.get(actor, 0) + kills.get(ZYGOTE, 0)
            too_few = max(0, tells.must - found.total())
            of_tells = max(0, found.total() - tells.must - tells.may)
            of_asks = max(0, asked.total() - tells.asks)
            too_many = max(0, of_tells + of_asks - spare)
            unread = found[UNREAD] + asked[UNREAD]
            report.lost += too_few
            report.letters_wrong += too_many + unread
            if too_few or too_many or unread:
                report.note(f"letters of {actor}: {dict(found)} of tells, {dict(asked)} of asks; expected {tells}")
