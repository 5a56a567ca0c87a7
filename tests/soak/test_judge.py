"""The judge itself: an oracle that finds nothing is worth something only if it finds what is there."""

import pytest

from tests.soak.judge import MOST_RUNS, ZYGOTE, Round, dead_letters_of
from tests.soak.ledger import (
    ACCEPTED,
    ACTORS,
    ANSWERED,
    ASK,
    BEGIN,
    CLOSED,
    CONCURRENT,
    DAMAGED,
    DIED,
    DONE,
    END,
    EXPIRED,
    INTENT,
    KILLED,
    LATE,
    NO,
    NOTHING_SAID,
    ODD,
    OUTCOME,
    REDELIVERED,
    RETRY,
    STARTED,
    URGENT,
    Record,
)
from tests.soak.report import Report

ACTOR, POOL, SENDER = 1000, 1001, 1


def intent(seq: int, flags: int = 0, *, actor: int = ACTOR, sender: int = SENDER) -> Record:
    return Record(INTENT, flags, actor, 0, 0, sender, seq, 0, 0)


def accepted(seq: int, *, actor: int = ACTOR, sender: int = SENDER) -> Record:
    return Record(ACCEPTED, 0, actor, 0, 0, sender, seq, 0, 0)


def outcome(seq: int, how: int, said: int = NOTHING_SAID, flags: int = 0) -> Record:
    return Record(OUTCOME, flags, ACTOR, 0, 0, SENDER, seq, how << 3 | said, 0)


def begin(seq: int, incarnation: int = 1, flags: int = 0, *, actor: int = ACTOR, pid: int = 7) -> Record:
    return Record(BEGIN, flags, actor, pid, incarnation, SENDER, seq, 0, 0)


def end(seq: int, incarnation: int = 1, *, actor: int = ACTOR, pid: int = 7) -> Record:
    return Record(END, 0, actor, pid, incarnation, SENDER, seq, 0, 0)


def killed(incarnation: int = 1, *, actor: int = ACTOR) -> Record:
    return Record(KILLED, 0, actor, 7, incarnation, 0, 0, 0, 0)


def told(seq: int, flags: int = 0) -> list[Record]:
    return [intent(seq, flags), accepted(seq)]


def handled(seq: int, incarnation: int = 1, flags: int = 0) -> list[Record]:
    return [begin(seq, incarnation, flags), end(seq, incarnation)]


def judged(*records: Record, dead_letters: int = 0, living: frozenset[int] = frozenset()) -> Report:
    report = Report("test")
    found = Round(frozenset({POOL}), {ACTOR: dead_letters}, living)
    found.read(records)
    found.into(report)
    return report


def test_a_message_that_was_handled_once_is_no_fault() -> None:
    report = judged(*told(1), *handled(1))

    assert (report.sent, report.handled_once, report.faults) == (1, 1, 0)


def test_a_tell_that_was_accepted_and_never_begun_is_lost() -> None:
    assert judged(*told(1)).lost == 1


def test_a_kill_excuses_one_tell_that_was_never_begun() -> None:
    report = judged(*told(1), *told(2), killed())

    assert (report.started_cut, report.lost) == (1, 1)


def test_a_kill_in_another_incarnation_than_the_neighbours_excuses_nothing() -> None:
    between = [*told(1), *told(2), *told(3), *handled(1, 4), *handled(3, 5)]

    assert judged(*between, killed(4)).lost == 0
    assert judged(*between, killed(7)).lost == 1


def test_a_kill_that_cut_a_handler_excuses_no_other_message() -> None:
    report = judged(*told(1), *told(2), begin(1), killed())

    assert (report.started_cut, report.lost) == (1, 1)


def test_kills_excuse_all_messages_that_were_handled_side_by_side() -> None:
    report = judged(*told(1, CONCURRENT), *told(2, CONCURRENT), begin(1, 1, CONCURRENT), killed())

    assert (report.started_cut, report.faults) == (2, 0)


def test_a_handler_that_nobody_killed_must_end() -> None:
    assert judged(*told(1), begin(1)).cut_without_a_kill == 1


def test_a_killed_zygote_may_take_one_with_it() -> None:
    assert judged(*told(1), begin(1), killed(0, actor=ZYGOTE)).faults == 0


def test_a_second_run_is_a_fault_without_retry() -> None:
    assert judged(*told(1), begin(1), killed(), *handled(1, 2)).run_twice == 1


def test_a_second_run_with_retry_must_be_marked_and_counted() -> None:
    first = [*told(1, RETRY), begin(1, 1, RETRY), killed(1)]

    assert judged(*first, *handled(1, 2, RETRY | REDELIVERED)).run_again == 1
    assert judged(*first, *handled(1, 2, RETRY | REDELIVERED)).faults == 0
    assert judged(*first, *handled(1, 2, RETRY)).run_twice == 1
    again = [record for n in range(2, 2 + MOST_RUNS) for record in (begin(1, n, RETRY | REDELIVERED), killed(n))]
    assert judged(*first, *again).run_twice == 1


def test_an_earlier_message_after_a_later_one_is_out_of_order() -> None:
    assert judged(*told(1), *told(2), *handled(2), *handled(1)).out_of_order == 1


def test_urgent_messages_may_overtake() -> None:
    assert judged(*told(1), *told(2, URGENT), *handled(2, 1, URGENT), *handled(1)).out_of_order == 0


def test_members_of_a_pool_are_not_in_order_with_each_other() -> None:
    sent = [record for seq in (1, 2) for record in (intent(seq, actor=POOL), accepted(seq, actor=POOL))]
    ran = [begin(2, actor=POOL, pid=8), end(2, actor=POOL, pid=8), begin(1, actor=POOL), end(1, actor=POOL)]

    assert judged(*sent, *ran).faults == 0


def test_an_ask_that_never_ends_hangs() -> None:
    assert judged(intent(1, ASK), *handled(1)).hung == 1


def test_an_ask_that_ends_late_hung() -> None:
    assert judged(intent(1, ASK), outcome(1, EXPIRED, NO, LATE)).hung == 1


def test_nobody_waits_for_what_a_dead_actor_asked_for() -> None:
    asked = intent(1, ASK, sender=ACTORS | 99)

    assert judged(asked).faults == 0
    assert judged(asked, living=frozenset({99})).hung == 1


@pytest.mark.parametrize(
    ("said", "records"),
    [
        (outcome(1, EXPIRED, NO), handled(1)),
        (outcome(1, EXPIRED, DONE), []),
        (outcome(1, EXPIRED, DONE), [begin(1), killed()]),
        (outcome(1, ANSWERED), []),
    ],
)
def test_a_verdict_that_the_ledger_contradicts_is_wrong(said: Record, records: list[Record]) -> None:
    assert judged(intent(1, ASK), *records, said).wrong_verdicts == 1


def test_an_ask_that_was_cut_is_reported_as_started() -> None:
    report = judged(intent(1, ASK), begin(1), killed(), outcome(1, DIED, STARTED))

    assert (report.reported_as_started, report.faults) == (1, 0)


def test_an_answer_or_a_body_that_is_anothers_is_wrong() -> None:
    assert judged(intent(1, ASK), *handled(1), outcome(1, ODD)).wrong_answers == 1
    assert judged(*told(1), *handled(1, 1, DAMAGED)).wrong_answers == 1


def test_dead_letters_are_as_many_as_the_supervisor_counted() -> None:
    closed = Record(CLOSED, 0, ACTOR, 0, 0, 0, 0, 0, 0)

    assert judged(*told(1), *told(2), closed, dead_letters=1).lost == 1
    assert judged(*told(1), *told(2), closed, dead_letters=3).dead_letters == 2


def test_what_was_handled_and_never_sent_is_a_stranger() -> None:
    assert judged(*handled(1)).strangers == 2


def test_the_log_names_powers_of_two() -> None:
    line = '{"actor": "guest1", "count": 4, "event": "dead letters", "level": "warning"}\n'

    assert dead_letters_of(["{}", line]) == {"guest1": 7}


def test_a_report_is_faulty_when_anything_that_must_be_0_is_not() -> None:
    report = Report("s", sent=3)
    assert report.faults == 0
    report.lost = 1

    assert report.faults == 1
    assert "must be 0: FAULT" in report.text()
    assert '"faults": 1' in report.to_json()
