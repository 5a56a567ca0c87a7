"""Who goes when there is no room."""

from runtime.web.crowd import Crowd


class Visitor:
    def __init__(self, lag: float | None) -> None:
        self._lag = lag
        self.is_evicted = False

    def lag(self) -> float | None:
        return self._lag

    def evict(self) -> None:
        self.is_evicted = True


def evicted(*lags: float | None, most: int) -> list[float | None]:
    """Whose lag had to go after all of these had come, and one more."""
    crowd = Crowd(most)
    visitors = [Visitor(lag) for lag in lags]
    for visitor in visitors:
        crowd.admit(visitor)
    crowd.admit(Visitor(0.0))
    return [visitor.lag() for visitor in visitors if visitor.is_evicted]


def test_nobody_goes_while_there_is_room() -> None:
    assert evicted(9.0, 8.0, most=3) == []


def test_who_has_kept_us_waiting_longest_goes() -> None:
    assert evicted(1.0, 3.0, 2.0, most=3) == [3.0]


def test_who_is_owed_an_answer_stays_and_the_newcomer_is_let_in() -> None:
    assert evicted(None, None, 0.1, most=3) == [0.1]
    assert evicted(None, None, None, most=3) == []


def test_of_many_an_eighth_goes_at_once() -> None:
    assert sorted(evicted(*map(float, range(80)), most=80), key=float) == list(map(float, range(70, 80)))


def test_who_has_left_takes_no_room() -> None:
    crowd, gone, here = Crowd(2), Visitor(9.0), Visitor(8.0)
    crowd.admit(gone)
    crowd.admit(here)
    crowd.leave(gone)
    crowd.admit(Visitor(0.0))

    assert not (gone.is_evicted or here.is_evicted)
    assert len(crowd) == 2
