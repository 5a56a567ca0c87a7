"""The judge: from the records of one round, what became of every message. Pure: records in, counts out.

A round ends when nothing is sent any more and everybody has handled what waited for him. Then each message is in one of
the groups of `Report`, or it is a fault.

JU-1  A kill may cost the one message in hand, and no more. A tell that was accepted and never begun is excused only by a
      kill of its actor between the messages that its sender's neighbours were handled in; each kill excuses one, and
      none if a handler was cut by it. So "taken, and killed before the handler's first line" and "lost" are told apart.
      A killed zygote may take the one with it that it was just about to start, and what that had in hand.
JU-2  Messages marked concurrent are in hand together; a kill excuses all of those.
JU-3  A pool has one queue, and of what its members take from it no order is promised.
JU-4  Nothing goes without a word: each tell that was accepted and did not run to its end is a dead letter of its actor
      (`letters`). What is left of an actor that was stopped for good is excused by that letter alone.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.soak import ledger
from tests.soak.ledger import (
    ACTORS,
    ANSWERED,
    ASK,
    CANCELLED,
    CONCURRENT,
    DAMAGED,
    DIED,
    DONE,
    EXPIRED,
    FULL,
    LATE,
    NO,
    ODD,
    REDELIVERED,
    RETRY,
    STOPPED,
    URGENT,
    Record,
)
from tests.soak.letters import ZYGOTE, Letters, Tells
from tests.soak.report import Report
from tests.soak.tally import committed

CALLERS = 1  # their number
_ANSWER_NS = 1_000_000_000  # an answer is on its way that long at most, whoever is stopped meanwhile
MOST_RUNS = 3  # of a message with retry=2
_LAST = 1 << 31

Key = tuple[int, int]
"""Of a message: sender, seq."""


@dataclass(slots=True)
class Fate:
    """What is known of one message."""

    actor: int
    flags: int
    is_accepted: bool = False
    outcome: int = 0
    said: int = 0
    due_ns: int = 0  # its deadline
    ended_ns: int = 0  # of the last run
    begun: list[Record] = field(default_factory=list)
    ended: list[tuple[int, int]] = field(default_factory=list)  # pid and incarnation


@dataclass(slots=True)
class Deaths:
    """The kills of one round.

    Attributes:
        excuses: for each actor number and incarnation, how many messages its kills may still excuse.
        is_pool: numbers whose incarnations are of several processes.
    """

    excuses: Counter[tuple[int, int]]
    is_pool: frozenset[int]

    def take(self, actor: int, first: int, last: int) -> bool:
        """Use up an excuse of an actor, of one of its incarnations first … last."""
        found = [
            incarnation
            for (number, incarnation), left in self.excuses.items()
            if number == actor and left > 0 and (actor in self.is_pool or first <= incarnation <= last)
        ]
        if not found:
            found_zygote = self.excuses[ZYGOTE, 0] > 0
            self.excuses[ZYGOTE, 0] -= found_zygote
            return found_zygote
        self.excuses[actor, min(found)] -= 1
        return True


class Round:
    """One round's records, put in order."""

    def __init__(self, pools: frozenset[int], keeper: int, living: frozenset[int]) -> None:
        """Judge a round.

        Args:
            pools: the actor numbers that are pools.
            keeper: the actor whose count is committed.
            living: pids of the processes that have heard what became of their messages; what a dead one asked for,
                nobody waits for.
        """
        self.fates: dict[Key, Fate] = {}
        self.closed: set[int] = set()
        self.killed: Counter[tuple[int, int]] = Counter()
        self.begun: dict[tuple[int, int, int], list[Record]] = defaultdict(list)
        self.letters = Letters()
        self.painted: list[Record] = []
        self.torn: list[Record] = []
        self.strangers = self.late = 0
        self._pools = pools
        self._keeper = keeper
        self._kept: list[Record] = []
        self._tally = 0
        self._committed: Counter[Key] = Counter()
        self._living = living

    def read(self, records: Iterable[Record]) -> None:
        """Take in what happened."""
        for record in records:
            match record.kind:
                case ledger.KILLED:
                    self.killed[record.actor, record.incarnation] += 1
                case ledger.CLOSED:
                    self.closed.add(record.actor)
                case ledger.LETTER:
                    self.letters.add(record)
                case ledger.TALLY:
                    self._tally = record.detail
                case ledger.PAINTED:
                    self.painted.append(record)
                case ledger.TORN:
                    self.torn.append(record)
                case ledger.INTENT:
                    self.fates[record.sender, record.seq] = Fate(
                        record.actor, record.flags, due_ns=record.at_ns + record.detail * 1_000_000
                    )
                case _:
                    self._of_message(record)

    def _of_message(self, record: Record) -> None:
        fate = self.fates.get((record.sender, record.seq))
        if fate is None:
            self.strangers += 1
            return
        match record.kind:
            case ledger.ACCEPTED:
                fate.is_accepted = True
            case ledger.OUTCOME:
                fate.outcome, fate.said = record.detail >> 3, record.detail & 7
                self.late += bool(record.flags & LATE)
            case ledger.BEGIN:
                fate.begun.append(record)
                if record.actor not in self._pools:  # JU-3
                    self.begun[record.sender, record.actor, record.flags & URGENT].append(record)
                if record.actor == self._keeper:
                    self._kept.append(record)
            case ledger.END:
                fate.ended.append((record.pid, record.incarnation))
                fate.ended_ns = record.at_ns

    def into(self, report: Report) -> None:
        """Judge it, and add it to a report."""
        report.strangers += self.strangers
        report.hung += self.late
        deaths = Deaths(Counter(self.killed), self._pools)
        self._order(report)
        self._count(report)
        self._paintings(report)
        self._cuts(report, deaths)
        missing: list[tuple[int, int, Key]] = []
        tells: dict[int, Tells] = defaultdict(Tells)
        for key, fate in self.fates.items():
            report.sent += 1
            self._check(report, key, fate)
            is_told = self._is_told(report, key, fate)
            self._weigh(tells[fate.actor], key, fate, is_told=is_told)
            if not is_told:
                missing.append((*self._between(key, fate), key))
        for first, last, key in sorted(missing, key=lambda each: each[1]):  # JU-1: the one that can wait least, first
            fate = self.fates[key]
            if fate.actor in self.closed and self.letters.take_left(fate.actor):  # JU-4
                report.dead_letters += 1
            elif deaths.take(fate.actor, first, last) or (fate.flags & CONCURRENT and self._was_killed(fate.actor)):
                report.started_cut += 1
            else:
                report.lost += 1
                report.note(f"lost: {_name(key)} to {fate.actor}, between its incarnations {first} and {last}")
        kills = Counter(number for number, _ in self.killed.elements())
        self.letters.judge(report, tells, kills, exact=self._keeper)

    def _weigh(self, tells: Tells, key: Key, fate: Fate, *, is_told: bool) -> None:
        """See what letters a message must or may have made."""
        if fate.flags & ASK:
            tells.asks += fate.outcome != ANSWERED
        elif fate.begun:
            last = fate.begun[-1]
            is_done = self._committed[key] if fate.actor == self._keeper else (last.pid, last.incarnation) in fate.ended
            tells.must += not is_done
        elif not is_told:
            tells.must += 1
        elif not fate.is_accepted and not fate.outcome:
            tells.may += 1

    def _is_told(self, report: Report, key: Key, fate: Fate) -> bool:
        """Count it in its group; False of a message that was accepted, never begun, and that nobody heard of."""
        sender_gone = self._is_gone(key[0])
        if not fate.outcome and not sender_gone and (fate.flags & ASK or not fate.is_accepted):
            report.hung += 1
            report.note(f"hung: {_name(key)} to {fate.actor}")
        if fate.begun:
            self._ran(report, fate)
        elif fate.outcome == DIED:
            report.reported_as_started += 1
        elif fate.outcome == EXPIRED:
            report.expired += 1
        elif fate.outcome == FULL:
            report.refused += 1
        elif fate.outcome == STOPPED:
            report.stopped += 1
        elif fate.outcome == CANCELLED:
            report.cancelled += 1
        elif fate.outcome == ODD or (sender_gone and (fate.flags & ASK or not fate.is_accepted)):
            report.asker_gone += 1
        elif fate.flags & ASK:
            report.asker_gone += 1  # it hung
        elif fate.is_accepted:
            return False
        else:
            report.asker_gone += 1  # it hung
        return True

    def _ran(self, report: Report, fate: Fate) -> None:
        if len(fate.begun) > 1:
            report.run_again += 1
        elif fate.ended:
            report.handled_once += 1
        elif fate.flags & ASK:
            report.reported_as_started += 1
        else:
            report.started_cut += 1

    def _check(self, report: Report, key: Key, fate: Fate) -> None:
        runs = len(fate.begun)
        if runs > (MOST_RUNS if fate.flags & RETRY else 1) or any(
            not again.flags & REDELIVERED for again in fate.begun[1:]
        ):
            report.run_twice += 1
            report.note(f"run twice: {_name(key)} to {fate.actor}: {fate.begun}")
        wrong = (
            (fate.said == NO and runs)
            or (fate.said == DONE and not fate.ended)
            or (fate.outcome == ANSWERED and not fate.ended)
        )
        if fate.actor == self._keeper and fate.outcome in (ANSWERED, DIED):  # TA-2
            wrong = wrong or bool(self._committed[key]) != (fate.outcome == ANSWERED)
        if wrong:
            report.wrong_verdicts += 1
            report.note(f"wrong verdict: {_name(key)} to {fate.actor}: {fate}")
        if fate.outcome == EXPIRED and fate.ended_ns and fate.due_ns - fate.ended_ns > _ANSWER_NS:
            report.answers_lost += 1
            report.note(f"answer lost: {_name(key)} to {fate.actor}: {fate}")
        if fate.outcome == ODD or any(begun.flags & DAMAGED for begun in fate.begun):
            report.wrong_answers += 1
            report.note(f"wrong answer: {_name(key)} to {fate.actor}: {fate}")

    def _order(self, report: Report) -> None:
        """One sender to one actor, by one lane: never an earlier message after a later one."""
        for records in self.begun.values():
            highest = 0
            for record in records:
                if record.seq < highest:
                    report.out_of_order += 1
                    report.note(f"out of order: {_name((record.sender, record.seq))} after {highest}: {record}")
                highest = max(highest, record.seq)

    def _count(self, report: Report) -> None:
        """What the actor with snapshots has committed."""
        self._committed, wrong = committed(self._kept, self._tally)
        report.commits += self._committed.total()
        report.uncounted += len(wrong)
        for line in wrong:
            report.note(line)

    def _paintings(self, report: Report) -> None:
        """No two commits of the region have one number, none comes after a later one, and nobody saw half of one."""
        numbers = [record.detail for record in self.painted]
        twice = [number for number, times in Counter(numbers).items() if times > 1]
        report.torn += len(twice) + len(self.torn)
        if twice or self.torn:
            report.note(f"region: committed twice: {twice}; torn: {self.torn}")

    def _cuts(self, report: Report, deaths: Deaths) -> None:
        """Handlers that began and did not end use up the excuse of the kill that cut them."""
        for key, fate in self.fates.items():
            for record in fate.begun:
                if (record.pid, record.incarnation) in fate.ended:
                    continue
                if record.flags & CONCURRENT and self.killed[record.actor, record.incarnation]:
                    continue  # JU-2
                if not deaths.take(record.actor, record.incarnation, record.incarnation):
                    report.cut_without_a_kill += 1
                    report.note(f"cut without a kill: {_name(key)}: {record}")

    def _between(self, key: Key, fate: Fate) -> tuple[int, int]:
        """The incarnations in which the sender's messages before and after this one began."""
        first, last = 0, _LAST
        for record in self.begun.get((key[0], fate.actor, fate.flags & URGENT), ()):
            if record.seq < key[1]:
                first = max(first, record.incarnation)
            else:
                last = min(last, record.incarnation)
        return first, last

    def _was_killed(self, actor: int) -> bool:
        return any(number == actor for number, _ in self.killed)

    def _is_gone(self, sender: int) -> bool:
        """The sender was an actor's process, which has ended."""
        return sender >= ACTORS and sender - ACTORS not in self._living


def _name(key: Key) -> str:
    sender = f"pid {key[0] - ACTORS}" if key[0] >= ACTORS else f"client {key[0]}"
    return f"message {key[1]} of {sender}"
