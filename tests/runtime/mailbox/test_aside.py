"""What is set aside: a page, no process."""

import os
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from runtime.mailbox import page as pages
from runtime.mailbox.aside import MOST, RESERVED, SLOT, Aside, settle, unfinished
from runtime.mailbox.journal import unfinished as journal_unfinished
from runtime.mailbox.page import ASIDE, MOVING, URGENT_LANE, Page
from runtime.wire import frame
from runtime.wire.frame import DONE, MOVED, STATE_AT

LARGEST = bytes(frame.MAX_PAYLOAD)


class Killed(Exception):
    """The process is gone, at this instruction."""


@pytest.fixture
def page() -> Iterator[Page]:
    fd = pages.create(32768)
    made = Page(fd)
    os.close(fd)
    yield made
    made.close()


def _queue(page: Page, payload: bytes, ask_id: int, state: int = 1) -> tuple[int, int]:
    """One frame in the journal, started; its place and its length."""
    raw = frame.ask(0, payload, ask_id, 7, 0)
    page.journal[:4096] = raw + bytes(4096 - len(raw))
    page.journal[STATE_AT] = state
    return 0, len(raw)


def _put(aside: Aside, page: Page, payload: bytes, ask_id: int, lane: int = 0) -> int:
    return aside.put(page.journal, *_queue(page, payload, ask_id), lane)


def _ids(page: Page) -> list[int]:
    return [header.ask_id for header in unfinished(page)]


def test_a_frame_is_in_one_place_and_its_state_goes_with_it(page: Page) -> None:
    place = Aside(page).put(page.journal, *_queue(page, b"payload", 5, state=3), 0)

    (header,) = unfinished(page)
    assert (header.offset, header.ask_id, header.state) == (place, 5, 3)
    assert bytes(page.aside[place + frame.PAYLOAD_AT :][:7]) == b"payload"
    assert page.journal[STATE_AT] == MOVED
    assert journal_unfinished(page.journal) == []


def test_nothing_is_looked_at_before_something_was_set_aside(page: Page) -> None:
    assert page.words[ASIDE] == 0
    assert unfinished(page) == []


def test_slots_are_used_again_when_their_frames_have_ended(page: Page) -> None:
    aside = Aside(page)
    places = []
    for ask_id in range(1, 5 * MOST):
        places.append(_put(aside, page, b"x" * (ask_id % 700), ask_id))
        if len(places) > 50:
            place = places.pop(ask_id % 50)
            page.aside[place + STATE_AT] = DONE
            aside.free(place)

    assert len(_ids(page)) == len(places)
    assert sorted(header.offset for header in unfinished(page)) == sorted(places)


def test_there_is_room_until_no_largest_frame_fits_and_for_the_second_lane_once_more(page: Page) -> None:
    aside = Aside(page)
    count = 0
    while aside.has_room():
        count += 1
        _put(aside, page, LARGEST, count)

    assert count == MOST // RESERVED - 1
    assert aside.has_room(urgent=True)
    urgent = _put(aside, page, LARGEST, 999, URGENT_LANE)
    assert not aside.has_room(urgent=True)
    assert urgent == (MOST - RESERVED) * SLOT
    page.aside[STATE_AT] = DONE
    aside.free(0)
    assert aside.has_room()


def test_a_payload_that_looks_like_a_frame_is_never_taken_for_one(page: Page) -> None:
    aside = Aside(page)
    fake = frame.ask(0, bytes(SLOT - frame.OVERHEAD), 666, 7, 0)
    payload = bytes(SLOT - frame.PAYLOAD_AT) + fake * 10
    place = _put(aside, page, payload, 1)
    assert _ids(page) == [1]

    page.aside[place + STATE_AT] = DONE
    aside.free(place)
    assert _ids(page) == []
    assert _put(aside, page, b"small", 2) == place
    assert _ids(page) == [2]
    Aside(page)
    assert _ids(page) == [2]


def test_what_was_left_is_taken_over_and_its_slots_are_not_used(page: Page) -> None:
    aside = Aside(page)
    places = [_put(aside, page, b"x" * 300, ask_id) for ask_id in (1, 2, 3)]
    page.aside[places[1] + STATE_AT] = DONE

    again = Aside(page)

    assert _ids(page) == [1, 3]
    assert _put(again, page, b"y" * 300, 4) == places[1]
    assert _ids(page) == [1, 4, 3]


def _killed_at(instruction: int, call: Any, *args: Any) -> bool:
    """Run a call until its n-th instruction in the module of `Aside`; False when it came to its end before."""
    left = instruction

    def trace(at: FrameType, event: str, _arg: object) -> Any:
        nonlocal left
        if at.f_code.co_filename != sys.modules[Aside.__module__].__file__:
            return None
        at.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if not left:
                raise Killed
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call(*args)
    except Killed:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("payload", [b"small", LARGEST])
def test_killed_at_any_instruction_a_frame_is_in_exactly_one_place(page: Page, payload: bytes) -> None:
    instruction, was_killed, seen = 0, True, set[str]()
    fake = frame.ask(0, bytes(SLOT - frame.OVERHEAD), 666, 7, 0)
    while was_killed:
        instruction += 1
        page.words[ASIDE] = 0
        page.aside[: 4096 * 4] = bytes(4096 * 4)
        aside = Aside(page)
        other = _put(aside, page, fake * 12, 1)
        _put(aside, page, b"stays", 2)
        page.aside[other + STATE_AT] = DONE
        aside.free(other)
        at, length = _queue(page, payload, 3)

        was_killed = _killed_at(instruction, aside.put, page.journal, at, length, 0)
        settle(page)

        there = [("journal", header.ask_id) for header in journal_unfinished(page.journal)]
        there += [("aside", ask_id) for ask_id in _ids(page) if ask_id != 2]
        assert there in ([("journal", 3)], [("aside", 3)]), instruction
        assert page.words[MOVING] == 0
        seen.add(there[0][0])
        before = _ids(page)
        assert sorted(before) == sorted([2, 3] if there[0][0] == "aside" else [2])
        Aside(page)
        assert _ids(page) == before

    assert seen == {"journal", "aside"}
    assert instruction > 50


def test_killed_at_any_instruction_of_freeing_a_frame_that_ended_stays_ended(page: Page) -> None:
    instruction, was_killed = 0, True
    fake = frame.ask(0, bytes(SLOT - frame.OVERHEAD), 666, 7, 0)
    while was_killed:
        instruction += 1
        page.words[ASIDE] = 0
        page.aside[: 4096 * 4] = bytes(4096 * 4)
        aside = Aside(page)
        place = _put(aside, page, bytes(SLOT - frame.PAYLOAD_AT) + fake * 10, 1)
        page.aside[place + STATE_AT] = DONE

        was_killed = _killed_at(instruction, aside.free, place)

        assert _ids(page) == []
        Aside(page)
        assert _ids(page) == []
        assert page.words[ASIDE] == 0
