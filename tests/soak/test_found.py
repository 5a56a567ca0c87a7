"""What soaks have found, each as a test of its own."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from actors import Actor, child, message
from actors.errors import Delivered
from runtime import Supervisor, connect
from runtime.callers import Callers
from runtime.deaths import MOST_NAMES
from runtime.mailbox.box import Box
from runtime.mailbox.inbox import BlockingInbox
from runtime.mailbox.journal import mark_done, mark_ended, unfinished
from runtime.mailbox.letterbox import Letterbox
from runtime.mailbox.page import ATTENTION, CLOSED, READY
from runtime.mailbox.patience import Board, Patience
from runtime.mailbox.replies import Replies
from runtime.memory.allowance import Allowance
from runtime.memory.seal import allocated
from runtime.memory.slab import ADDRESS, FREE, GENERATION, HELD, SENT, STATE, Slab, body_of, parted, rounded
from runtime.reporter import Counts
from runtime.route import Route
from runtime.testing import wait_until
from runtime.vault import Vault
from runtime.wire import frame
from runtime.wire.codec import Codec
from runtime.wire.frame import CUT, DONE, DROPPED, QUEUED, STATE_AT
from tests.runtime.cast import bodies_of, descriptors_of

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
    letterbox = Letterbox(str(tmp_path / "one"), box.page_fd)

    assert letterbox.verdicts({77}, 8) == {77: delivered}
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
    letterbox = Letterbox(str(tmp_path / "one"), box.page_fd)
    for post in (letterbox.post, letterbox.post_urgent):
        letterbox.words = cast("memoryview", ClosesMeanwhile())

        with pytest.raises(ConnectionResetError):
            post(frame.tell(0, b"x"))
    letterbox.close()


class Interrupted:
    """The words of a page; senders write two urgent frames just as its actor says that it has seen all."""

    def __init__(self, words: memoryview, interrupt: Callable[[], None]) -> None:
        self.words = words
        self.interrupt = interrupt

    def __getitem__(self, at: int) -> int:
        return self.words[at]

    def __setitem__(self, at: int, value: int) -> None:
        if at == ATTENTION and value == 0:
            interrupt, self.interrupt = self.interrupt, lambda: None
            interrupt()
        self.words[at] = value


def test_urgent_messages_that_come_together_as_the_lane_was_seen_empty_are_all_taken(box: Box, tmp_path: Path) -> None:
    codec, board = Codec(), Board(None, 0, 0)
    replies = Replies(
        str(tmp_path), box.words, codec, lambda _payload, _address: 0, lambda _body: None, lambda _body: None
    )
    inbox = BlockingInbox(
        box.page,
        str(tmp_path / "one"),
        codec,
        replies,
        {"hurry": (1, 0)},
        lambda _body: memoryview(b""),
        lambda _is: None,
        patience=Patience(board),
    )
    kind, payload = codec.encode_call("hurry", (), {}, ())
    assert isinstance(payload, bytes)
    raw = frame.tell(kind, payload)
    letterbox = Letterbox(str(tmp_path / "one"), box.page_fd)

    def send_two() -> None:
        assert letterbox.post_urgent(raw)
        assert letterbox.post_urgent(raw)

    inbox._words = Interrupted(box.words, send_two)

    taken = []
    while (message := inbox.take_nowait()) is not None:
        inbox.done(message[0], message[1], None)
        taken.append(message[1])

    assert taken == ["hurry", "hurry"]
    letterbox.close()
    board.close()
    for fd in inbox.fds:
        os.close(fd)


@pytest.fixture
def vault() -> Vault:
    return Vault(Allowance(1 << 20))


def _slab(vault: Vault) -> Slab:
    fd = allocated("understudy-slab", rounded(1))
    number = vault.hold_slab(fd, rounded(1), OWNER)
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


def test_the_directories_of_a_supervisor_go_with_its_last_mailbox(tmp_path: Path) -> None:
    outer, first, second = (
        Box(str(tmp_path), f"children/{path}", 4096) for path in ("a", "b/children/c", "b/children/d/children/e")
    )

    first.discard()
    assert (tmp_path / "children/b/children").exists()
    second.discard()
    assert os.listdir(tmp_path / "children") == ["a"]
    outer.discard()
    assert os.listdir(tmp_path) == ["children"]


def test_what_is_counted_by_name_is_bounded_and_a_flood_is_a_few_lines() -> None:
    counts = Counts()
    assert [counts.another("a") for _ in range(9)] == [1, 2, 0, 4, 0, 0, 0, 8, 0]

    for number in range(2 * MOST_NAMES):
        counts.another(f"guest{number}")

    assert len(counts) == MOST_NAMES
    assert counts.another("a") == 1


def test_a_route_that_another_thread_has_found_closed_is_looked_up_anew() -> None:
    with pytest.raises(BrokenPipeError):  # what every sender takes for "closed: look it up"
        Route("gone").pick()


@pytest.mark.process
def test_a_client_that_has_closed_holds_nothing_of_the_many_it_talked_to(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.route._MOST", 4)
    for number in range(8):
        supervisor.start(child(Echo), name=f"echo{number}")
    with connect(supervisor.name) as client:
        refs = [client.ref(f"echo{number}", Echo) for number in range(8)]
        for ref in (*refs, *refs[:2]):
            ref.ones(1)
        ours = [target for target in descriptors_of(os.getpid()) if "/children/echo" in target]
        assert ours

    assert not [target for target in descriptors_of(os.getpid()) if "/children/echo" in target]
    assert len(refs) == 8


@pytest.mark.process
def test_a_sender_holds_no_descriptors_of_actors_that_have_gone(supervisor: Supervisor) -> None:
    for number in range(200):
        ref = supervisor.start(child(Echo), name=f"echo{number}")
        ref.ones.tell(1)
        supervisor.stop(f"echo{number}")
        supervisor.delete(f"echo{number}")

    held = [target for target in descriptors_of(os.getpid()) if "/children/echo" in target]

    assert len(held) < 100


_CALLER = """
import sys
from runtime import connect
with connect("found") as client:
    answer = client.ref("echo").ones(100_000)
    print("held", flush=True)
    sys.stdin.readline()
print(int(answer.sum()), flush=True)
sys.stdin.readline()
"""


class Echo(Actor):
    @message
    def ones(self, count: int) -> Any:
        return np.ones(count, np.uint8)


@pytest.fixture
def caller(nothing_left: Path) -> Iterator[tuple[Supervisor, "subprocess.Popen[str]"]]:
    """A system, and a process apart that holds a large answer of it."""
    with Supervisor("found") as system:
        system.start(child(Echo), name="echo")
        command = [sys.executable, "-c", _CALLER]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield system, process
    assert not nothing_left.exists()


@pytest.mark.process
def test_an_answer_goes_with_the_process_that_held_it(caller: tuple[Supervisor, "subprocess.Popen[str]"]) -> None:
    system, process = caller
    assert wait_until(lambda: bodies_of(system) == 1)

    process.kill()

    assert wait_until(lambda: bodies_of(system) == 0)


@pytest.mark.process
def test_an_answer_that_is_held_outlives_the_connection_it_came_by(
    caller: tuple[Supervisor, "subprocess.Popen[str]"],
) -> None:
    system, process = caller
    assert process.stdin is not None
    assert process.stdout is not None
    print("detach", file=process.stdin, flush=True)

    assert process.stdout.readline() == "100000\n"
    assert bodies_of(system) == 1

    print("end", file=process.stdin, flush=True)
    assert wait_until(lambda: bodies_of(system) == 0)
