"""What soaks have found, each as a test of its own."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from actors.errors import Delivered
from runtime.callers import Callers
from runtime.mailbox.box import Box
from runtime.mailbox.journal import mark_done, mark_ended, unfinished
from runtime.mailbox.letterbox import Letterbox
from runtime.mailbox.page import CLOSED, READY
from runtime.memory.slab import ADDRESS, FREE, GENERATION, HELD, SENT, STATE, Slab, body_of, parted, rounded
from runtime.vault import Vault
from runtime.wire import frame
from runtime.wire.frame import CUT, DONE, DROPPED, QUEUED, STATE_AT

OWNER = 5


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(str(tmp_path), "one", 4096)
    yield made
    made.discard()


@pytest.mark.parametrize(
    ("state", "delivered"),
    [(QUEUED, "no"), (1, "started"), (3, "started"), (CUT, "started"), (DROPPED, "no"), (DONE, "done")],
)
def test_at_its_deadline_an_asker_learns_how_far_its_message_got(
    box: Box, tmp_path: Path, state: int, delivered: Delivered
) -> None:
    raw = frame.ask(0, b"payload", 77, 8, 9)
    box.page.journal[: len(raw)] = raw
    box.page.journal[STATE_AT] = state
    letterbox = Letterbox(str(tmp_path / "one"), box.page_fd, refuse=False)

    assert letterbox.verdict(77, 8) == delivered
    letterbox.close()


def test_a_frame_that_ended_with_its_actor_is_not_taken_for_one_that_was_handled(box: Box) -> None:
    raw = frame.tell(0, b"one")
    area = box.page.journal
    for state, mark, end in ((QUEUED, mark_ended, DROPPED), (1, mark_ended, CUT), (1, mark_done, DONE)):
        area[: len(raw)] = raw
        area[STATE_AT] = state
        (header,) = unfinished(area)

        mark(area, header)

        assert area[STATE_AT] == end
        assert unfinished(area) == []


class ClosesMeanwhile:
    """The words of a page whose mailbox is closed between a sender's two looks at them."""

    def __init__(self) -> None:
        self.lives = [READY, CLOSED]

    def __getitem__(self, at: int) -> int:
        return self.lives.pop(0)

    def __setitem__(self, at: int, value: int) -> None:
        return


def test_a_frame_written_as_its_mailbox_was_being_closed_is_not_taken_for_one_that_was_not_written(
    box: Box, tmp_path: Path
) -> None:
    letterbox = Letterbox(str(tmp_path / "one"), box.page_fd, refuse=False)
    for post in (letterbox.post, letterbox.post_urgent):
        letterbox.words = cast("memoryview", ClosesMeanwhile())

        with pytest.raises(ConnectionResetError):
            post(frame.tell(0, b"x"))
    letterbox.close()


@pytest.fixture
def vault() -> Vault:
    return Vault(1 << 20)


def _slab(vault: Vault) -> Slab:
    number, fd = vault.make_slab(rounded(1), OWNER)
    return Slab(number, fd)


def test_ending_a_message_leaves_its_slab_alone_once_another_message_is_in_it(vault: Vault) -> None:
    slab = _slab(vault)
    slab.words[GENERATION], slab.words[STATE] = 2, SENT

    vault.end_payload(body_of(slab.number, 1))
    assert slab.words[STATE] == SENT

    vault.end_payload(body_of(slab.number, 2))
    assert slab.words[STATE] == FREE


def test_a_slab_and_its_generation_go_into_one_word() -> None:
    assert parted(body_of(7, (1 << 24) - 1)) == (7, (1 << 24) - 1)
    assert body_of((1 << 40) - 1, (1 << 24) - 1) < 1 << 64


def test_an_answer_that_was_never_taken_goes_with_its_asker(vault: Vault, tmp_path: Path) -> None:
    async def main() -> None:
        callers = Callers(str(tmp_path), vault)
        gone, other = callers.open(4096), callers.open(4096)
        slabs = [_slab(vault) for _ in range(3)]
        for slab, address, state in zip(slabs, (gone, other, gone), (SENT, SENT, HELD), strict=True):
            slab.words[ADDRESS], slab.words[STATE] = address, state

        callers.close(gone)

        assert [slab.words[STATE] for slab in slabs] == [FREE, SENT, HELD]
        callers.close(other)

    asyncio.run(main())
    assert os.listdir(tmp_path / "replies") == []
