"""The restart window and the delays, as functions of times."""

import pytest

from actors.child import Backoff
from runtime.supervision.window import add_restart, delay, next_draw


def test_a_restart_leaves_the_window_after_max_seconds():
    """Case 34."""
    assert add_restart((1.0, 2.0, 3.0), 6.5, 5.0) == (2.0, 3.0, 6.5)


def test_a_restart_exactly_max_seconds_old_still_counts():
    """Case 34."""
    assert add_restart((1.0,), 6.0, 5.0) == (1.0, 6.0)


@pytest.mark.parametrize(("nth", "seconds"), [(1, 0.0), (2, 0.5), (3, 1.0), (4, 2.0), (5, 3.0), (5000, 3.0)])
def test_delays_double_up_to_the_most(nth, seconds):
    assert delay(Backoff(first=0.5, most=3.0, jitter=0.0), nth, 0.7) == seconds


@pytest.mark.parametrize(("draw", "seconds"), [(0.0, 0.8), (0.5, 1.0), (0.75, 1.1)])
def test_jitter_spreads_a_delay_both_ways(draw, seconds):
    assert delay(Backoff(first=1.0, jitter=0.2), 2, draw) == pytest.approx(seconds)


def test_no_backoff_is_no_delay():
    assert delay(None, 9, 0.9) == 0.0


def test_draws_are_spread_over_zero_to_one_and_repeat_with_their_seed():
    def draws(seed):
        found = []
        for _ in range(1000):
            seed, number = next_draw(seed)
            found.append(number)
        return found

    assert draws(3) == draws(3)
    assert all(0 <= number < 1 for number in draws(3))
    assert 0.45 < sum(draws(3)) / 1000 < 0.55
