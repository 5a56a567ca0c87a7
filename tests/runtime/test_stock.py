"""The stock of spares, with socket pairs for spares; and that actors come of them."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors import Actor, child, message
from runtime import Supervisor
from runtime.memory.seal import sealed
from runtime.process.order import Launch, decode
from runtime.process.payload import joined_payload
from runtime.process.stock import Stock, what_of
from runtime.process.zygote import IS_WARM, received
from runtime.testing import wait_until

ORDER = Launch(7, "a", "a", 1, "test", "/nowhere", "a", None, True, 0, 0, 0)
KNOWN = b"known"


class Spare:
    """The far end of one, and the stock's."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        ours, self.sock = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.fds = [ours.detach()]

    def takes(self) -> object:
        """The order it is given; None: it is dismissed."""
        self.sock.settimeout(5)
        raw, fds = received(self.sock)
        for fd in fds:
            os.close(fd)
        return decode(raw) if raw else None


@pytest.fixture
def spares() -> Iterator[list[Spare]]:
    made = [Spare(11), Spare(12)]
    yield made
    for each in made:
        each.sock.close()


@pytest.fixture
def stock(spares: list[Spare]) -> Iterator[Stock]:
    filled = Stock()
    filled.wanted = 2
    filled.learn(KNOWN)
    assert filled.order() == 2
    for each in spares:
        filled.add(each.pid, each.fds)
    yield filled
    filled.dismiss()


def test_a_warm_spare_gets_the_order(stock: Stock, spares: list[Spare]) -> None:
    spares[1].sock.send(IS_WARM)

    assert stock.hand_over(ORDER, KNOWN, []) == 12
    assert spares[1].takes() == ORDER
    assert stock.order() == 1


def test_a_spare_that_warms_up_is_left_alone(stock: Stock) -> None:
    assert stock.hand_over(ORDER, KNOWN, []) == 0
    assert stock.order() == 0


def test_a_spare_that_has_died_is_passed_over(stock: Stock, spares: list[Spare]) -> None:
    spares[0].sock.close()
    spares[1].sock.send(IS_WARM)

    assert stock.hand_over(ORDER, KNOWN, []) == 12
    assert stock.order() == 2


def test_what_was_not_imported_when_they_were_forked_is_not_for_spares(stock: Stock, spares: list[Spare]) -> None:
    for each in spares:
        each.sock.send(IS_WARM)

    assert stock.hand_over(ORDER, b"new", []) == 0


def test_what_is_new_dismisses_all_spares(stock: Stock, spares: list[Spare]) -> None:
    stock.learn(b"new")

    assert [each.takes() for each in spares] == [None, None]
    assert stock.order() == 2


def test_what_is_known_dismisses_nobody(stock: Stock) -> None:
    stock.learn(KNOWN)

    assert stock.order() == 0


def test_of_a_smaller_stock_the_rest_is_dismissed(stock: Stock, spares: list[Spare]) -> None:
    stock.wanted = 1

    assert stock.order() == 0
    assert spares[1].takes() is None


def test_a_spare_that_could_not_be_forked_is_ordered_again(spares: list[Spare]) -> None:
    stock = Stock()

    ordered = stock.order(), stock.order()
    stock.add(0, spares[0].fds)

    assert ordered == (1, 0)
    assert spares[0].takes() is None
    assert stock.order() == 1


def test_with_the_zygote_all_that_it_imported_is_forgotten(stock: Stock, spares: list[Spare]) -> None:
    stock.clear()

    assert spares[0].takes() is None
    assert stock.hand_over(ORDER, KNOWN, []) == 0
    assert stock.order() == 2


def test_a_launch_needs_the_class_and_not_its_arguments() -> None:
    fds = [sealed(joined_payload(*parts)) for parts in ((b"A", b"", b"1"), (b"A", b"", b"2"), (b"B", b"", b"1"))]

    first, second, other = (what_of(ORDER, fd) for fd in fds)

    for fd in fds:
        os.close(fd)
    assert first == second
    assert first != other


class Echo(Actor):
    """Says who it is."""

    @message
    def pid(self) -> int:
        """Of its process."""
        return os.getpid()


def spares_of(system: Supervisor) -> set[int]:
    """Processes in the zygote's group that are not the zygote; a spare sits in it until its order."""
    found: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name, rest = (entry / "stat").read_text().split("(", 1)[1].rsplit(") ", 1)
            except OSError:  # it has ended meanwhile
                continue
            state, parent, group = rest.split()[:3]
            if name == "understudy-zyg" and int(parent) == system.pid and state != "Z":
                found[int(entry.name)] = int(group)
    return {pid for pid, group in found.items() if pid != group}


@pytest.mark.process
def test_actors_of_a_known_class_come_of_spares(supervisor: Supervisor) -> None:
    supervisor.start(child(Echo), name="first")
    numbers = iter(range(1000))

    def comes_of_a_spare() -> bool:  # one that is still warming up is passed over
        waiting = spares_of(supervisor)
        return supervisor.start(child(Echo), name=f"next{next(numbers)}").pid() in waiting

    assert wait_until(lambda: bool(spares_of(supervisor)))
    assert wait_until(comes_of_a_spare)


@pytest.mark.process
def test_a_spare_that_was_killed_costs_nobody_his_start(supervisor: Supervisor) -> None:
    supervisor.start(child(Echo), name="first")
    assert wait_until(lambda: bool(spares_of(supervisor)))
    killed = spares_of(supervisor)

    for pid in killed:
        os.kill(pid, 9)
    assert wait_until(lambda: not killed & spares_of(supervisor))

    assert supervisor.start(child(Echo), name="second").pid()
