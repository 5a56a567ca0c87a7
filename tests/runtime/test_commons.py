"""What threads have in common: one object for each key, however many ask for it at once."""

import os
import threading

from runtime.commons import Commons, identity_of


class Thing:
    """Something with a descriptor."""

    def __init__(self) -> None:
        self.closed_in: list[int] = []

    def close(self) -> None:
        self.closed_in.append(os.getpid())


def test_threads_that_ask_at_the_same_time_get_one_object() -> None:
    things: Commons[str, Thing] = Commons(Thing.close)
    made: list[Thing] = []
    together = threading.Barrier(8)
    got: list[Thing] = []

    def make() -> Thing:
        made.append(Thing())
        return made[-1]

    def ask() -> None:
        together.wait(10)
        got.append(things.get("key", make))

    asking = [threading.Thread(target=ask) for _ in range(8)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join(10)

    assert len(made) == 1
    assert got == made * 8


def test_what_nobody_uses_any_more_is_made_anew() -> None:
    things: Commons[str, Thing] = Commons(Thing.close)
    first = things.get("key", Thing)
    assert things.get("key", Thing) is first

    del first

    assert len(things) == 0
    assert things.get("key", Thing).closed_in == []


def test_what_is_forgotten_is_given_to_nobody_else_though_it_is_referred_to() -> None:
    things: Commons[str, Thing] = Commons(Thing.close)
    first = things.get("key", Thing)

    things.forget("key")

    assert things.get("key", Thing) is not first


def test_what_cannot_be_made_leaves_nothing_behind() -> None:
    things: Commons[str, Thing] = Commons(Thing.close)

    def fail() -> Thing:
        raise OSError("no descriptors")

    for _ in range(2):
        try:
            things.get("key", fail)
        except OSError as exc:
            assert str(exc) == "no descriptors"
    assert len(things) == 0


def test_a_fork_has_none_of_its_parents_and_its_parent_keeps_its_own() -> None:
    things: Commons[str, Thing] = Commons(Thing.close)
    own = things.get("key", Thing)
    with things.lock:  # as if another thread was just looking for one
        child = os.fork()
        if not child:
            is_right = own.closed_in == [os.getpid()] and things.get("key", Thing) is not own
            os._exit(0 if is_right else 1)
        _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert own.closed_in == []
    assert things.get("key", Thing) is own


def test_files_are_told_apart_by_what_they_are_and_not_by_their_descriptors() -> None:
    one, other = os.memfd_create("one"), os.memfd_create("one")
    again = os.dup(one)
    try:
        assert identity_of(one) == identity_of(again) != identity_of(other)
    finally:
        for fd in (one, other, again):
            os.close(fd)
