"""The queue of a pool: slots that each go to one reader, whole; what was written by hand is skipped."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.mailbox import fifo, page
from runtime.mailbox.journal import Journal, unfinished
from runtime.mailbox.letterbox import Letterbox, PoolLetterbox
from runtime.mailbox.poolqueue import SLOTS, PoolLanes, PoolQueue, slot_of
from runtime.wire import frame
from runtime.wire.frame import MAX_PAYLOAD, OVERHEAD, Header

SIZE = 65536


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[PoolQueue]:
    made = PoolQueue(str(tmp_path), "children/pool/queue", SIZE, (b"", 0))
    yield made
    if (tmp_path / "children/pool/queue").exists():
        made.discard()


class Reader:
    """A member, as far as it reads."""

    def __init__(self, root: Path) -> None:
        os.mkfifo(root / f"own{id(self)}")
        own = fifo.open_read(str(root / f"own{id(self)}"))
        self.lanes = PoolLanes(str(root / "children/pool/queue"), own, fifo)
        self.area = memoryview(bytearray(SIZE))
        self.journal = Journal(self.area)

    def take(self) -> list[bytes]:
        extent = self.lanes.fill(self.journal)
        return [bytes(self.area[h.offset : h.offset + h.length]) for h in frame.walk(self.area, 0, extent)]

    def close(self) -> None:
        for fd in self.lanes.fds:
            os.close(fd)


@pytest.fixture
def readers(tmp_path: Path, queue: PoolQueue) -> Iterator[list[Reader]]:
    assert queue.queued_bytes() == 0
    made = [Reader(tmp_path) for _ in range(2)]
    yield made
    for reader in made:
        reader.close()


def test_every_frame_has_a_slot() -> None:
    assert [slot_of(n) for n in (OVERHEAD, 128, 129, 512, 513, 4096)] == [0, 0, 1, 1, 2, 2]


def test_frames_of_all_sizes_go_to_one_reader_each_whole(queue: PoolQueue, readers: list[Reader]) -> None:
    sent = [frame.tell(0, bytes([n % 251]) * n) for n in (*range(0, MAX_PAYLOAD, 97), MAX_PAYLOAD)]
    taken: list[bytes] = []
    for raw in sent:
        assert queue.post(raw)
        taken += readers[len(taken) % 2].take()

    assert taken == sent
    assert all(reader.take() == [] for reader in readers)


def test_what_was_taken_is_in_the_journal_alone_and_all_else_in_the_queue(
    queue: PoolQueue, readers: list[Reader]
) -> None:
    sent = [frame.tell(0, b"%d" % n) for n in range(3)]
    for raw in sent:
        queue.post(raw)

    assert readers[0].take() == sent[:1]
    assert len(unfinished(readers[0].area)) == 1
    assert Journal(readers[0].area).recover() == len(sent[0])
    assert [readers[1].take(), readers[1].take()] == [sent[1:2], sent[2:]]


def test_no_fifo_waits_for_another_to_be_empty(queue: PoolQueue, readers: list[Reader]) -> None:
    large = frame.tell(0, b"x" * MAX_PAYLOAD)
    queue.post(large)
    for n in range(100):
        queue.post(frame.tell(0, b"%d" % n))

    assert [large] in [readers[0].take() for _ in range(40)]


def test_what_was_written_by_hand_is_skipped_and_slots_begin_anew(
    queue: PoolQueue, readers: list[Reader], tmp_path: Path
) -> None:
    sent = [frame.tell(0, b"%d" % n) for n in range(5)]
    by_hand = fifo.open_write(str(tmp_path / "children/pool/queue" / str(SLOTS[0])))
    queue.post(sent[0])
    os.write(by_hand, b"garbage")
    os.close(by_hand)
    for raw in sent[1:4]:
        queue.post(raw)

    assert readers[0].take() == sent[:1]
    assert readers[1].take() == sent[1:4]
    queue.post(sent[4])
    assert readers[0].take() == sent[4:]


def test_a_queue_that_is_closed_ends_what_is_in_it_and_refuses_more(queue: PoolQueue, tmp_path: Path) -> None:
    os.makedirs(tmp_path / "member")
    os.mkfifo(tmp_path / "member/mailbox")
    member_fd = page.create(4096)
    reader = fifo.open_read(str(tmp_path / "member/mailbox"))
    member = Letterbox(str(tmp_path / "member"), member_fd)
    letterbox = PoolLetterbox(str(tmp_path / queue.directory), queue.page_fd)
    letterbox.members = (member,)
    sent = [frame.tell(0, b"small"), frame.ask(0, b"x" * 300, 7, 8, 9), frame.tell(0, b"x" * 3000)]
    for raw in sent:
        assert letterbox.post(raw)
    ended: list[tuple[Header, bytes, bool]] = []

    queue.close(lambda *what: ended.append(what))

    assert [raw for _, raw, _ in ended] == sent
    assert not any(started for _, _, started in ended)
    assert letterbox.is_closed()
    with pytest.raises(BrokenPipeError):
        letterbox.post(sent[0])
    assert not (tmp_path / "children/pool").exists()
    for box in (letterbox, member):
        box.close()
    for fd in (member_fd, reader):
        os.close(fd)


def test_room_is_waited_for_where_the_frame_goes(queue: PoolQueue, tmp_path: Path) -> None:
    letterbox = PoolLetterbox(str(tmp_path / queue.directory), queue.page_fd)
    small, large = frame.tell(0, b"x"), frame.tell(0, b"x" * 3000)
    while letterbox.post(large):
        pass

    assert not letterbox.wait_for_room(1, letterbox.lane_of(large, urgent=False))
    assert letterbox.wait_for_room(0, letterbox.lane_of(small, urgent=False))
    assert letterbox.post(small)
    letterbox.close()
