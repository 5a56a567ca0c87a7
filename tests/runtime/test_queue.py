"""Who is next to be started: imports alone, forks one behind the other, and nobody is lost."""

from runtime.process.order import Gather
from runtime.process.queue import Flight, Queue


def flight(token: int) -> Flight:
    return Flight(Gather(token, "", "test", "/nowhere", 0, 1), [], b"")


def queue_of(*flights: Flight, imports: set[int] = frozenset()) -> Queue:  # type: ignore[assignment]
    queue = Queue(lambda each: each.launch.token in imports)
    for each in flights:
        queue.add(each)
    return queue


def send_all(queue: Queue) -> list[Flight]:
    """What may be sent now, sent."""
    sent = []
    while (following := queue.next()) is not None:
        queue.sent()
        sent.append(following)
    return sent


def test_of_forks_one_waits_behind_the_one_that_is_being_made() -> None:
    first, second, third = (flight(n) for n in range(3))
    queue = queue_of(first, second, third)

    assert send_all(queue) == [first, second]
    assert queue.head is first
    queue.remove(first)
    assert queue.head is second
    assert send_all(queue) == [third]


def test_an_import_goes_alone() -> None:
    fork, importing, behind = (flight(n) for n in range(3))
    queue = queue_of(fork, importing, behind, imports={1})

    assert send_all(queue) == [fork]
    queue.remove(fork)
    assert send_all(queue) == [importing]
    queue.remove(importing)
    assert send_all(queue) == [behind]


def test_what_waits_can_be_taken_out_and_costs_nobody_anything() -> None:
    importing, second, third = (flight(n) for n in range(3))
    queue = queue_of(importing, second, third, imports={0})
    send_all(queue)

    assert queue.is_waiting(second)
    assert not queue.is_waiting(importing)
    queue.remove(second)
    assert queue.head is importing
    queue.remove(importing)
    assert send_all(queue) == [third]
    queue.remove(third)
    assert queue.head is None


def test_what_a_zygote_had_is_first_with_the_next_one_in_the_same_order() -> None:
    first, second, third = (flight(n) for n in range(3))
    queue = queue_of(first, second, third)
    send_all(queue)

    queue.take_back()

    assert queue.head is None
    assert queue.is_waiting(first)
    assert send_all(queue) == [first, second]
    queue.again(first)
    assert queue.head is second
    assert queue.next() is first
