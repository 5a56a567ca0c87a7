"""Chains: an ask goes in a circle only if everybody in it waits."""

import itertools

import pytest

from actors.chain import cycle_of, is_doubtful, kept


def waiting(*ids, held_up=True):
    """A world in which those asks are waited for."""
    return lambda _path, ask_id, is_held_up: int(ask_id, 16) in ids and (held_up or not is_held_up)


def test_blocking_calls_alone_close_a_circle():
    assert cycle_of(("x", "a", "b"), "c", "a", waiting()) == ("a", "b", "c", "a")
    assert cycle_of(("x", "a", "b"), "c", "d", waiting()) is None


def test_oneself_is_a_circle():
    assert cycle_of((), "a", "a", waiting()) == ("a", "a")


@pytest.mark.parametrize("awaited", [set(ids) for n in range(4) for ids in itertools.combinations((1, 2, 3), n)])
def test_kept_asks_close_a_circle_if_each_of_them_is_waited_for(awaited):
    chain = kept(kept(kept((), "a", 1), "b", 2), "c", 3)

    assert cycle_of(chain, "d", "a", waiting(*awaited)) == (("a", "b", "c", "d", "a") if awaited == {1, 2, 3} else None)
    assert cycle_of(chain, "d", "c", waiting(*awaited)) == (("c", "d", "c") if 3 in awaited else None)


def test_one_that_does_other_things_meanwhile_is_waited_for_to_some_purpose():
    chain = kept((), "a", 1)

    assert cycle_of(chain, "b", "a", waiting(1, held_up=False)) is None
    assert cycle_of(("x", *chain), "b", "x", waiting(1, held_up=False)) == ("x", "a", "b", "x")


def test_doubt_is_about_those_in_the_chain():
    chain = (*kept((), "shop", 255), "front")

    assert [is_doubtful(chain, path) for path in ("shop", "front", "sho", "shop.cart", "")] == [True, True] + [
        False
    ] * 3
