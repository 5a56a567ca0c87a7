"""What one loop sends to one actor arrives in the order in which it was sent, whoever looks the actor up meanwhile."""

import asyncio
import os
import resource
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from actors import Actor, ActorError, child, message
from actors.child import Mailbox
from runtime import Supervisor, connect
from runtime.client import Client
from tests.runtime.cast import Counter, Gate, Start, Stopped, descriptors_of

pytestmark = pytest.mark.process

PAD = "x" * 1900  # two frames of it fill a mailbox of a page


@pytest.fixture
def clients(supervisor: Supervisor) -> Iterator[tuple[Client, Client]]:
    with connect(supervisor.name) as one, connect(supervisor.name) as other:
        yield one, other


def numbers(notes: list[Any]) -> list[int]:
    return [note[0] for note in notes]


def test_a_mailbox_that_is_looked_up_twice_has_one_queue(
    supervisor: Supervisor, clients: tuple[Client, Client]
) -> None:
    pid = supervisor.start(child(Gate), name="gate", mailbox=Mailbox(4096)).pid()
    client = clients[0]
    gate = client.ref("gate", Gate)
    assert gate.pid() == pid
    routes = client._endpoint.routes

    async def main() -> list[Any]:
        with Stopped(pid):
            asks = [gate.note.ask([n, PAD]) for n in range(3)]  # the third waits in the loop
            looking = threading.Thread(target=lambda: routes.look_up(routes.route("gate")))
            looking.start()
            looking.join(10)
            asks += [gate.note.ask([n, ""]) for n in range(3, 6)]
        await asyncio.gather(*asks)
        return list(await gate.notes.ask())

    assert numbers(asyncio.run(main())) == list(range(6))


def test_two_clients_of_one_program_do_not_overtake_each_other_in_one_loop(
    supervisor: Supervisor, clients: tuple[Client, Client]
) -> None:
    pid = supervisor.start(child(Gate), name="gate", mailbox=Mailbox(4096)).pid()
    one, other = (client.ref("gate", Gate) for client in clients)

    async def main() -> list[Any]:
        with Stopped(pid):
            asks = [one.note.ask([n, PAD]) for n in range(3)]
            asks += [other.note.ask([n, ""]) for n in range(3, 6)]
            asks += [one.note.ask([n, ""]) for n in range(6, 9)]
        await asyncio.gather(*asks)
        return list(await one.notes.ask())

    assert numbers(asyncio.run(main())) == list(range(9))


def test_a_client_that_is_closed_takes_its_own_messages_back_and_no_others(
    supervisor: Supervisor, clients: tuple[Client, Client]
) -> None:
    pid = supervisor.start(child(Gate), name="gate", mailbox=Mailbox(4096)).pid()
    one, other = (client.ref("gate", Gate) for client in clients)

    async def main() -> list[Any]:
        with Stopped(pid):
            asks = [other.note.ask([n, PAD]) for n in range(2)]
            lost = [one.note.ask([-1, PAD]) for _ in range(3)]
            asks += [other.note.ask([n, ""]) for n in range(2, 5)]
            await asyncio.to_thread(clients[0].close)
        await asyncio.gather(*asks)
        assert all(reply.done() for reply in lost)
        return list(await other.notes.ask())

    assert numbers(asyncio.run(main())) == list(range(5))


def test_what_waits_for_a_mailbox_that_is_closed_goes_first_into_the_next_of_its_name(
    supervisor: Supervisor, clients: tuple[Client, Client]
) -> None:
    pid = supervisor.start(child(Gate), name="gate", mailbox=Mailbox(4096), shutdown="kill").pid()
    client = clients[0]
    gate = client.ref("gate", Gate)

    def replace() -> None:
        supervisor.stop("gate")
        supervisor.delete("gate")
        supervisor.start(child(Gate), name="gate")

    async def main() -> list[Any]:
        with Stopped(pid):
            full = [gate.note.ask([-1, PAD]) for _ in range(2)]
            waiting = [gate.note.ask([n, PAD]) for n in range(3)]
            replacing = threading.Thread(target=replace)
            replacing.start()
            replacing.join(10)  # the loop does not turn, and has not seen it
            client._endpoint.routes.route("gate").set([])  # as another thread does that has found it closed
            waiting += [gate.note.ask([n, ""]) for n in range(3, 6)]
        await asyncio.gather(*waiting)
        await asyncio.gather(*full, return_exceptions=True)
        return list(await gate.notes.ask())

    assert numbers(asyncio.run(main())) == list(range(6))


class Acquaintance(Actor):
    """Knows all of its kind, and asks and tells each of them."""

    @message
    def meet(self, others: list[Any]) -> int:
        for other in others:
            if other != self.context.ref:
                other.greet.tell()
                other.greet()
                other.greet(bytes(20_000))
        return len(os.listdir("/proc/self/fd"))

    @message
    def greet(self, _gift: bytes = b"") -> int:
        return os.getpid()


def test_actors_that_are_threads_share_their_letterboxes(start: Start) -> None:
    def descriptors(count: int) -> int:
        all_of_them = [start(child(Acquaintance), host="thread") for _ in range(count)]
        return max(each.meet(all_of_them) for each in all_of_them)

    few = descriptors(6)
    many = descriptors(12) - few  # the first ones are there still

    assert many < 16 * 12  # so many each; as letterboxes of each own they were two for each pair
    assert many < 4 * few


def test_a_letterbox_for_which_there_is_no_descriptor_is_an_error_and_nothing_else(
    supervisor: Supervisor, clients: tuple[Client, Client], capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor.start(child(Counter), name="known")
    supervisor.start(child(Counter), name="unknown")
    client = clients[0]
    known, unknown = client.ref("known", Counter), client.ref("unknown", Counter)
    assert known.add(1) == 1
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(fd) for fd in os.listdir("/proc/self/fd"))
    held = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 8, hard))
    try:
        while True:
            try:
                held.append(os.dup(0))
            except OSError:
                break
        for room in range(len(held)):
            with pytest.raises(ActorError, match="Too many open files"):
                unknown.add.tell()
            os.close(held.pop())
            if room >= 2:
                break
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in held:
            os.close(fd)

    assert unknown.add(1) == 1
    assert "Exception ignored" not in capsys.readouterr().err


def test_the_last_client_that_uses_a_letterbox_closes_it_whatever_refers_to_it(supervisor: Supervisor) -> None:
    supervisor.start(child(Counter), name="counter")
    with connect(supervisor.name) as one:
        with connect(supervisor.name) as other:
            assert one.ref("counter", Counter).add(1) + other.ref("counter", Counter).add(1) == 3
            box = other._endpoint.routes.route("counter").only
            assert box is one._endpoint.routes.route("counter").only
            assert box is not None
        assert one.ref("counter", Counter).add(1) == 3
        assert not box.is_closed()

    assert not [name for name in descriptors_of(os.getpid()) if "counter/mailbox" in name]
