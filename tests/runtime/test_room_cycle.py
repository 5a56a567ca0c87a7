"""Actors that wait for room in each other's mailboxes: one is refused, with the names of all, and the others go on."""

from typing import Any

import pytest

from actors import Actor, HandlerFailed, MailboxFull, child, deadline, message
from runtime.testing import wait_until
from tests.runtime.cast import Start

pytestmark = pytest.mark.process

TELLS = 20_000


class Peer(Actor):
    """Tells another one more than its mailbox holds, and counts what it is told."""

    def __init__(self) -> None:
        self.got = 0

    @message
    def burst(self, other: Any, n: int) -> int:
        for _ in range(n):
            other.hit.tell("x" * 100)
        return n

    @message
    def hit(self, _text: str) -> None:
        self.got += 1

    @message
    def count(self) -> int:
        return self.got


@pytest.mark.parametrize(("hosts", "length"), [("process", 2), ("process", 3), ("thread", 2)])
def test_a_circle_that_waits_for_room_is_named_and_ends_without_a_deadline(
    start: Start, hosts: str, length: int
) -> None:
    names = [f"{hosts}{length}{n}" for n in range(length)]
    peers = [start(child(Peer), name, host=hosts) for name in names]

    with deadline(None):
        bursts = [peer.burst.ask(peers[(n + 1) % length], TELLS) for n, peer in enumerate(peers)]
        failed = []
        for burst in bursts:
            try:
                assert burst.result(timeout=60) == TELLS
            except HandlerFailed as error:
                failed.append(error)

    assert len(failed) >= 1
    for error in failed:
        full = error.__cause__
        assert isinstance(full, MailboxFull)
        assert full.delivered == "no"
        circle = full.detail.rpartition(": ")[2].split(" → ")
        assert circle[0] == circle[-1] == error.actor
        assert set(circle) == set(names)
    assert all(peer.count() >= 0 for peer in peers)


def test_one_that_waits_for_a_slow_reader_is_in_no_circle(start: Start) -> None:
    one, two = start(child(Peer), "writer"), start(child(Peer), "reader")

    with deadline(30):
        assert one.burst(two, TELLS) == TELLS

    assert wait_until(lambda: two.count() == TELLS)
