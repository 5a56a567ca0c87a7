"""The judge itself: an oracle that finds nothing is worth something only if it finds what is there."""

from dataclasses import replace

import pytest

from tests.soak.judge import MOST_RUNS, Round
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
    DIED_OF,
    DONE,
    END,
    EXPIRED,
    INTENT,
    KILLED,
    LATE,
    LEFT,
    LEFT_IN_HAND,
    LETTER,
    NO,
    NOTHING_SAID,
    ODD,
    OUTCOME,
    PAINTED,
    REDELIVERED,
    RETRY,
    STARTED,
    TALLY,
    TORN,
    UNREAD,
    URGENT,
    Record,
)
from tests.soak.letters import ZYGOTE
from tests.soak.report import Report

ACTOR, POOL, KEEPER, SENDER = 1000, 1001, 1002, 1


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


def letter(why: int = DIED_OF, flags: int = 0, *, actor: int = ACTOR) -> Record:
    return Record(LETTER, flags, actor, 0, 0, 0, 0, why, 0)


def closed() -> Record:
    return Record(CLOSED, 0, ACTOR, 0, 0, 0, 0, 0, 0)


def counts(seq: int, before: int, incarnation: int = 1, flags: int = 0) -> Record:
    return Record(BEGIN, flags, KEEPER, 7, incarnation, SENDER, seq, before, 0)


def tally(count: int) -> Record:
    return Record(TALLY, 0, KEEPER, 0, 0, 0, 0, count, 0)


def told(seq: int, flags: int = 0) -> list[Record]:
    return [intent(seq, flags), accepted(seq)]


def handled(seq: int, incarnation: int = 1, flags: int = 0) -> list[Record]:
    return [begin(seq, incarnation, flags), end(seq, incarnation)]


def judged(*records: Record, living: frozenset[int] = frozenset()) -> Report:
    report = Report("test")
    found = Round(frozenset({POOL}), KEEPER, living)
    found.read(records)
    found.into(report)
    return report


def test_a_message_that_was_handled_once_is_no_fault() -> None:
    report = judged(*told(1), *handled(1))

    assert (report.sent, report.handled_once, report.faults) == (1, 1, 0)


def test_a_tell_that_was_accepted_and_never_begun_is_lost() -> None:
    assert judged(*told(1)).lost
    assert judged(*told(1), letter()).lost == 1, "nobody was killed: a letter alone excuses nothing"


def test_a_kill_excuses_one_tell_that_was_never_begun() -> None:
    report = judged(*told(1), *told(2), killed(), letter(), letter())

    assert (report.started_cut, report.lost) == (1, 1)


def test_a_tell_that_a_kill_cost_is_a_dead_letter_or_lost() -> None:
    for cut in ([killed()], [begin(1), killed()]):
        assert judged(*told(1), *cut, letter()).faults == 0
        assert judged(*told(1), *cut).lost == 1
        assert judged(*told(1), *cut, letter(flags=ASK)).lost == 1
        assert judged(*told(1), *cut, letter(actor=POOL)).lost == 1


def test_a_dead_letter_of_what_was_handled_is_wrong() -> None:
    assert judged(*told(1), *handled(1), letter()).letters_wrong == 1
    assert judged(*told(1), *handled(1), killed(), letter()).faults == 0, "killed before its frame was done"
    assert judged(*told(1), *handled(1), killed(), letter(), letter()).letters_wrong == 1


def test_a_dead_letter_of_an_ask_that_was_answered_is_wrong() -> None:
    answered = [intent(1, ASK), *handled(1), outcome(1, ANSWERED), letter(flags=ASK)]

    assert judged(*answered).letters_wrong == 1
    assert judged(*answered, killed()).faults == 0, "killed before its frame was done"
    assert judged(*answered, killed(), letter()).letters_wrong == 1
    assert judged(intent(1, ASK), begin(1), killed(), outcome(1, DIED, STARTED), letter(flags=ASK)).faults == 0


def test_a_message_that_could_not_be_decoded_is_wrong() -> None:
    assert judged(*told(1), killed(), letter(UNREAD)).letters_wrong == 1


def test_a_tell_whose_sender_was_killed_may_be_a_dead_letter() -> None:
    sent = intent(1, sender=ACTORS | 99)

    assert judged(sent, killed(), letter()).faults == 0
    assert judged(sent, killed()).faults == 0


def test_a_kill_in_another_incarnation_than_the_neighbours_excuses_nothing() -> None:
    between = [*told(1), *told(2), *told(3), *handled(1, 4), *handled(3, 5)]

    assert judged(*between, killed(4), letter()).lost == 0
    assert judged(*between, killed(7), letter()).lost == 1


def test_a_kill_that_cut_a_handler_excuses_no_other_message() -> None:
    report = judged(*told(1), *told(2), begin(1), killed(), letter(), letter())

    assert (report.started_cut, report.lost) == (1, 1)


def test_kills_excuse_all_messages_that_were_handled_side_by_side() -> None:
    report = judged(*told(1, CONCURRENT), *told(2, CONCURRENT), begin(1, 1, CONCURRENT), killed(), letter(), letter())

    assert (report.started_cut, report.faults) == (2, 0)


def test_a_handler_that_nobody_killed_must_end() -> None:
    assert judged(*told(1), begin(1)).cut_without_a_kill == 1


def test_a_killed_zygote_may_take_one_with_it() -> None:
    assert judged(*told(1), begin(1), killed(0, actor=ZYGOTE), letter()).faults == 0


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


def test_an_answer_that_did_not_arrive_until_the_deadline_is_lost() -> None:
    asked = [replace(intent(1, ASK), detail=2000), begin(1)]
    early, late = (replace(end(1), at_ns=int(seconds * 1e9)) for seconds in (0.5, 1.5))

    assert judged(*asked, early, outcome(1, EXPIRED, DONE)).answers_lost == 1
    assert judged(*asked, late, outcome(1, EXPIRED, DONE)).answers_lost == 0
    assert judged(*asked, early, outcome(1, ANSWERED)).answers_lost == 0


def test_an_ask_that_was_cut_is_reported_as_started() -> None:
    report = judged(intent(1, ASK), begin(1), killed(), outcome(1, DIED, STARTED))

    assert (report.reported_as_started, report.faults) == (1, 0)


def test_an_answer_or_a_body_that_is_anothers_is_wrong() -> None:
    assert judged(intent(1, ASK), *handled(1), outcome(1, ODD)).wrong_answers == 1
    assert judged(*told(1), *handled(1, 1, DAMAGED)).wrong_answers == 1


def test_what_is_left_of_a_stopped_actor_is_a_dead_letter_each_and_no_more() -> None:
    for why in (LEFT, LEFT_IN_HAND):
        report = judged(*told(1), *told(2), closed(), letter(why), letter(why))
        assert (report.dead_letters, report.faults) == (2, 0)
    assert judged(*told(1), *told(2), closed(), letter(LEFT)).lost
    assert judged(*told(1), *told(2), closed(), *[letter(LEFT)] * 3).letters_wrong == 1
    assert judged(*told(1), *told(2), closed(), letter(LEFT), letter()).lost == 1, "nobody was killed"


def test_what_was_handled_and_never_sent_is_a_stranger() -> None:
    assert judged(*handled(1)).strangers == 2


def sent(seq: int, flags: int = 0) -> list[Record]:
    return [intent(seq, flags, actor=KEEPER), accepted(seq, actor=KEEPER)]


def done(seq: int, incarnation: int = 1) -> Record:
    return end(seq, incarnation, actor=KEEPER)


def test_a_state_that_is_committed_with_each_message_counts_each_once() -> None:
    report = judged(*sent(1), counts(1, 5), done(1), *sent(2), counts(2, 6), done(2), tally(7))

    assert (report.commits, report.faults) == (2, 0)


def test_a_message_that_was_cut_is_not_counted_and_a_dead_letter() -> None:
    cut = [*sent(1), counts(1, 5), done(1), killed(actor=KEEPER), *sent(2), counts(2, 5, 2), done(2, 2), tally(6)]

    assert judged(*cut, letter(actor=KEEPER)).faults == 0
    assert judged(*cut).lost == 1


def test_a_dead_letter_of_what_was_counted_is_wrong() -> None:
    counted = [*sent(1), counts(1, 5), done(1), killed(actor=KEEPER), tally(6)]

    assert judged(*counted).faults == 0
    assert judged(*counted, letter(actor=KEEPER)).letters_wrong == 1


def test_a_count_that_was_lost_or_made_twice_is_a_fault() -> None:
    both = [*sent(1), *sent(2), counts(1, 5), done(1)]

    assert judged(*both, counts(2, 4), done(2), tally(5)).uncounted == 1
    assert judged(*both, counts(2, 7), done(2), tally(8)).uncounted == 1
    assert judged(*both, counts(2, 6), done(2), tally(8)).uncounted == 1


def test_a_message_that_was_counted_in_two_runs_is_a_fault() -> None:
    first = [*sent(1, RETRY), counts(1, 5, 1, RETRY), done(1), killed(actor=KEEPER)]
    again = [counts(1, 6, 2, RETRY | REDELIVERED), done(1, 2)]

    assert judged(*first, *again, tally(7)).uncounted == 1
    assert judged(*first, *again, tally(6)).faults == 0


def test_an_answer_of_what_was_not_counted_and_a_death_of_what_was_are_wrong() -> None:
    asked = [intent(1, ASK, actor=KEEPER), counts(1, 5), done(1), killed(actor=KEEPER)]

    assert judged(*asked, outcome(1, ANSWERED), tally(5)).wrong_verdicts == 1
    assert judged(*asked, outcome(1, DIED, STARTED), tally(6)).wrong_verdicts == 1
    assert judged(*asked, outcome(1, DIED, STARTED), tally(5)).faults == 0


def test_a_region_that_was_torn_or_whose_commit_was_overwritten_is_a_fault() -> None:
    def painted(number: int) -> Record:
        return Record(PAINTED, 0, ACTOR, 0, 0, 0, 0, number, 0)

    assert judged(painted(1), painted(3), painted(2)).faults == 0
    assert judged(painted(1), painted(1)).torn == 1
    assert judged(Record(TORN, 0, ACTOR, 0, 0, 0, 0, 1, 0)).torn == 1
