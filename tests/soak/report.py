"""What a soak found: counts, and faults, of which there must be none."""

import json
from dataclasses import asdict, dataclass, field, fields

from tests.soak.sample import Sample, growth, summary

_MUST_BE_0 = {"must_be_0": True}
_MOST_NOTES = 40


def _fault() -> int:
    return field(default=0, metadata=_MUST_BE_0)


@dataclass(slots=True)
class Report:
    """Counts of messages by what became of them, of the trouble there was, and of faults.

    Attributes:
        restarts_by_hand, reloads, guests: requests, while others kill; requests_refused: what a kill made fail.
        sent: tells and asks together; each is in exactly one of the groups up to `asker_gone`.
        handled_once: the handler ran, from its first line to its last, once.
        run_again: … more than once, as `retry` allows.
        reported_as_started: asks whose actor died with them in hand, or that were cut short at their deadline.
        started_cut: tells whose actor was killed with them in hand.
        expired: asks that ended at their deadline, not run.
        refused: no room in the mailbox.
        stopped: the actor was stopped for good, and the sender was told.
        cancelled: their asker stopped waiting, and they did not run.
        dead_letters: tells left in the mailbox of an actor that was stopped for good.
        asker_gone: their sender was killed before it knew whether they had been taken.
        letters: dead letters, of tells and asks; each is accounted for by the group its message is in.
        commits: of the state of the actor with snapshots; region_commits: of the region that many paint;
            region_recoveries: how often its writer was killed in a transaction.
        lost: accepted, never begun, and nobody was told.
        run_twice: without `retry`, or more often than it allows, or without being told.
        out_of_order: begun after a later message of the same sender to the same actor.
        hung: tells and asks that had not ended at their deadline and a slack.
        wrong_verdicts: "no" of one that ran, "done" or an answer of one that did not.
        wrong_answers: another message's, damaged, or an error that should not be.
        uncounted: what an actor with snapshots has counted more than once, or not, though it should.
        torn: a region that was not whole, or a commit of it that was lost or overwritten.
        letters_wrong: dead letters of which there is no message, or that were dropped for want of room.
        answers_lost: asks that ended at their deadline, though their handler had ended long before.
        cut_without_a_kill: handlers that began and did not end, though nobody killed their process.
        strangers: handled, but never sent.
        payloads_left: large payloads that were held after their messages had ended.
        descriptors_left, processes_left, files_left: at the end.
        memory_grown, descriptors_grown, names_grown, processes_grown: from the first tenth of a long soak to the last.
        samples: of the supervisor, at the end of each round.
        notes: a line on each of the first faults.
    """

    seed: str
    seconds: float = 0.0
    rounds: int = 0
    kills: int = 0
    stops: int = 0
    zygote_kills: int = 0
    zygote_stops: int = 0
    callers_killed: int = 0
    restarts_by_hand: int = 0
    reloads: int = 0
    requests_refused: int = 0
    guests: int = 0
    sent: int = 0
    handled_once: int = 0
    run_again: int = 0
    reported_as_started: int = 0
    started_cut: int = 0
    expired: int = 0
    refused: int = 0
    stopped: int = 0
    cancelled: int = 0
    dead_letters: int = 0
    asker_gone: int = 0
    letters: int = 0
    commits: int = 0
    region_commits: int = 0
    region_recoveries: int = 0
    lost: int = _fault()
    run_twice: int = _fault()
    out_of_order: int = _fault()
    hung: int = _fault()
    wrong_verdicts: int = _fault()
    wrong_answers: int = _fault()
    answers_lost: int = _fault()
    uncounted: int = _fault()
    torn: int = _fault()
    letters_wrong: int = _fault()
    cut_without_a_kill: int = _fault()
    strangers: int = _fault()
    payloads_left: int = _fault()
    descriptors_left: int = _fault()
    processes_left: int = _fault()
    files_left: int = _fault()
    memory_grown: int = _fault()
    descriptors_grown: int = _fault()
    names_grown: int = _fault()
    processes_grown: int = _fault()
    samples: list[Sample] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        """Sum of what must be 0."""
        return sum(getattr(self, each.name) for each in fields(self) if each.metadata.get("must_be_0"))

    def close(self, seconds: float) -> None:
        """The soak is over: see whether what was sampled has grown."""
        self.seconds = seconds
        grown = growth(self.samples)
        self.memory_grown, self.descriptors_grown, self.names_grown, self.processes_grown = grown

    def note(self, line: str) -> None:
        """Say more of a fault."""
        if len(self.notes) < _MOST_NOTES:
            self.notes.append(line)

    def to_json(self) -> str:
        """One object."""
        return json.dumps({**asdict(self), "faults": self.faults}, indent=1)

    def text(self) -> str:
        """A line for each figure; faults are marked."""
        lines = [f"{'seed':24}{self.seed:>12}", f"{'minutes':24}{self.seconds / 60:>12.1f}"]
        for each in fields(self)[2:-2]:
            value = getattr(self, each.name)
            verdict = "" if not each.metadata.get("must_be_0") else ("   must be 0" + ("" if not value else ": FAULT"))
            lines.append(f"{each.name.replace('_', ' '):24}{value:>12,}{verdict}")
        return "\n".join([*lines, *summary(self.samples), *self.notes])
