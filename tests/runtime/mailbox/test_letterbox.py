"""The sending end: writes, the life word, and the verdict on an ask whose deadline has passed."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from time import monotonic_ns

import pytest

from runtime.mailbox import fifo, page
from runtime.mailbox import letterbox as letterbox_module
from runtime.mailbox.box import Box
from runtime.mailbox.letterbox import Letterbox
from runtime.wire import frame
from runtime.wire.frame import CUT, DONE, DROPPED, STATE_AT


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(str(tmp_path), "children/one", 4096)
    made.set_life(page.READY)
    yield made
    made.discard()


@pytest.fixture
def letterbox(box: Box, tmp_path: Path) -> Iterator[Letterbox]:
    made = Letterbox(str(tmp_path / "children/one"), box.page_fd)
    yield made
    made.close()


def test_a_frame_is_written_whole_or_not_at_all(letterbox: Letterbox) -> None:
    raw = frame.tell(0, b"x" * 1000)
    written = 0
    while letterbox.post(raw):
        written += 1

    assert written >= 3
    assert letterbox.load() == written * len(raw)
    assert letterbox.post(raw) is False


def test_a_closed_mailbox_refuses_before_and_after_a_write(letterbox: Letterbox, box: Box) -> None:
    box.set_life(page.CLOSED)

    with pytest.raises(BrokenPipeError):
        letterbox.post(frame.tell(0, b"x"))
    with pytest.raises(BrokenPipeError):
        letterbox.post_urgent(frame.tell(0, b"x"))


def test_waiting_for_room_ends_at_its_deadline(letterbox: Letterbox) -> None:
    assert letterbox.wait_for_room(0) is True
    while letterbox.post(frame.tell(0, b"x" * 2000)):
        pass

    assert letterbox.wait_for_room(monotonic_ns() + 5_000_000) is False
    assert letterbox.wait_for_room(1) is False


def test_an_urgent_frame_raises_attention(letterbox: Letterbox) -> None:
    assert letterbox.words[page.ATTENTION] == 0

    assert letterbox.post_urgent(frame.tell(0, b"x"))

    assert letterbox.words[page.ATTENTION] == 1


@pytest.mark.parametrize(("state", "verdict"), [(0, "no"), (1, "started"), (3, "started"), (DONE, "done")])
def test_the_verdict_is_the_frames_state_in_the_journal(letterbox: Letterbox, state: int, verdict: str) -> None:
    journal = letterbox.page.journal
    raw = frame.ask(0, b"other", 6, 70, 1) + frame.ask(0, b"mine", 7, 70, 1)
    journal[: len(raw)] = raw
    journal[len(frame.ask(0, b"other", 6, 70, 1)) + STATE_AT] = state

    assert letterbox.verdicts({7, 8}, 70) == {7: verdict}
    assert letterbox.verdicts({7}, 71) == {}
    assert letterbox.verdicts({6, 7}, 70) == {6: "no", 7: verdict}


def test_the_verdict_looks_at_the_second_lane_too(letterbox: Letterbox) -> None:
    raw = frame.ask(0, b"urgent", 9, 70, 1)
    letterbox.page.urgent_journal[: len(raw)] = raw

    assert letterbox.verdicts({9}, 70) == {9: "no"}


def test_one_that_is_ready_is_always_less_loaded_than_one_that_is_not(letterbox: Letterbox, box: Box) -> None:
    letterbox.post(frame.tell(0, b"x" * 100))
    ready = letterbox.load()
    box.set_life(page.RESTARTING)
    restarting = letterbox.load()
    box.set_life(page.CLOSED)

    assert ready < restarting < letterbox.load()


@pytest.mark.parametrize("urgent", [False, True])
@pytest.mark.parametrize(
    ("what_became_of_it", "is_sent"),
    [("read and gone", True), ("handled", True), ("begun", True), ("not begun", False), ("unread", False)],
)
def test_a_frame_that_was_written_as_the_mailbox_closed_was_sent_unless_it_is_seen_that_it_will_not_be_handled(
    letterbox: Letterbox,
    box: Box,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    urgent: bool,
    what_became_of_it: str,
    is_sent: bool,
) -> None:
    raw = frame.tell(0, b"x")
    journal = letterbox.page.urgent_journal if urgent else letterbox.page.journal
    reader = fifo.open_read(str(tmp_path / "children/one" / ("urgent" if urgent else "mailbox")))

    def write_as_it_closes(fd: int, frame_: bytes) -> None:
        os.write(fd, frame_)
        if what_became_of_it != "unread":
            os.read(reader, 4096)
        state = {"handled": DONE, "begun": CUT, "not begun": DROPPED}.get(what_became_of_it)
        if state is not None:
            journal[: len(frame_)] = frame_
            journal[STATE_AT] = state
        box.set_life(page.CLOSED)

    monkeypatch.setattr(letterbox_module, "_write", write_as_it_closes)
    with contextlib.nullcontext() if is_sent else pytest.raises(ConnectionResetError):
        assert letterbox.post_urgent(raw) if urgent else letterbox.post(raw)
    os.close(reader)
