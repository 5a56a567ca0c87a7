"""Timers of one incarnation, time passed in: TI-1 and TI-2."""

from actors.timer import Timer, Timers


def timer(name: str, due_ns: int, every_ns: int = 0) -> Timer:
    return Timer(name, print, (), due_ns, every_ns)


def test_a_timer_is_taken_once_its_time_has_come():
    timers = Timers()
    set_ = timers.add(timer("a", 10))

    assert timers.next_due_ns() == 10
    assert timers.take(9) is None
    assert timers.take(10) is set_
    assert timers.take(10) is None
    assert timers.next_due_ns() is None


def test_timers_are_taken_by_due_time_then_in_the_order_they_were_set():
    timers = Timers()
    for name, due_ns in (("late", 20), ("first", 10), ("second", 10)):
        timers.add(timer(name, due_ns))

    assert [taken.name for taken in iter(lambda: timers.take(30), None)] == ["first", "second", "late"]


def test_an_after_timer_is_over_once_taken():
    timers = Timers()
    set_ = timers.add(timer("a", 10))
    timers.take(10)

    assert not set_.is_live()
    assert not set_.cancel()


def test_an_every_timer_never_piles_up():
    timers = Timers()
    set_ = timers.add(timer("a", 10, every_ns=10))

    assert timers.take(95) is set_
    assert timers.take(95) is None
    assert timers.next_due_ns() == 105
    assert set_.is_live()


def test_a_cancelled_timer_is_never_taken():
    timers = Timers()
    first, second = timers.add(timer("a", 10)), timers.add(timer("b", 20, every_ns=5))

    assert first.cancel()
    assert not first.cancel()
    assert timers.next_due_ns() == 20
    timers.take(20)
    assert second.cancel()
    assert timers.next_due_ns() is None
    assert timers.take(1000) is None
