"""Dead letters: kept, bounded, listed, sent again."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from actors import (
    Actor,
    ActorDied,
    ActorStopped,
    Mailbox,
    MailboxFull,
    NotFound,
    RemoteError,
    Undecodable,
    child,
    message,
)
from runtime import Letter, Supervisor
from runtime.letters import MOST_BYTES, MOST_LETTERS, Letters, as_tell
from runtime.memory import slab
from runtime.memory.seal import allocated
from runtime.testing import wait_until
from runtime.vault import Vault
from runtime.wire import frame
from runtime.wire.frame import Header, walk
from tests.runtime.cast import Gate, Start, Stopped, bodies_of


class Kept:
    """A `Letters` of its own, and what it told."""

    def __init__(self) -> None:
        self.vault = Vault()
        self.added: list[Letter] = []
        self.lost: list[str] = []
        self.letters = Letters(self.vault, self.added.append, self.lost.append)

    def keep(self, raw: bytes, actor: str = "a", **more: Any) -> None:
        self.letters.keep(actor, header_of(raw), raw, **{"why": "why", "message": "m", "now_ns": 100, **more})

    def large(self, nbytes: int) -> bytes:
        """A tell with a large payload, sent."""
        fd = allocated("understudy-slab", nbytes)
        number = self.vault.hold_slab(fd, nbytes, 0)
        made = slab.Slab(number, fd)
        made.words[slab.GENERATION], made.words[slab.STATE] = 7, slab.SENT
        return frame.large(0, 0, 0, 0, slab.body_of(number, 7))


def header_of(raw: bytes) -> Header:
    [header] = walk(memoryview(raw), 0, len(raw))
    return header


def test_a_letter_says_who_why_and_how_large_and_not_what() -> None:
    kept = Kept()
    raw = frame.tell(0, b"secret")

    kept.keep(raw, "shop.cart", why="stopped", message="add")

    [letter] = kept.letters.list()
    assert (letter.id, letter.actor, letter.why, letter.message) == (1, "shop.cart", "stopped", "add")
    assert letter.nbytes == len(raw)
    assert abs(letter.when - time.time()) < 5
    assert "secret" not in repr(letter)
    assert kept.added == [letter]


def test_letters_are_listed_by_actor_and_by_supervisor() -> None:
    kept = Kept()
    for actor in ("shop.cart", "shop.cartel", "bakery"):
        kept.keep(frame.tell(0, b""), actor)

    assert [letter.actor for letter in kept.letters.list("shop")] == ["shop.cart", "shop.cartel"]
    assert [letter.actor for letter in kept.letters.list("shop.cart")] == ["shop.cart"]
    assert len(kept.letters.list()) == 3


def test_over_the_count_the_oldest_is_dropped_and_told_of() -> None:
    kept = Kept()

    for _ in range(MOST_LETTERS + 3):
        kept.keep(frame.tell(0, b""))

    assert [letter.id for letter in kept.letters.list()] == list(range(4, MOST_LETTERS + 4))
    assert kept.lost == ["a"] * 3


def test_over_the_bytes_the_oldest_is_dropped_with_its_payload() -> None:
    kept = Kept()

    for _ in range(3):
        kept.keep(kept.large(MOST_BYTES // 2))

    assert [letter.id for letter in kept.letters.list()] == [3]
    assert kept.vault.used() == MOST_BYTES // 2


def test_a_letter_that_is_too_large_by_itself_is_listed_without_its_payload() -> None:
    kept = Kept()

    kept.keep(kept.large(MOST_BYTES))

    assert [letter.nbytes > MOST_BYTES for letter in kept.letters.list()] == [True]
    assert kept.vault.used() == 0
    with pytest.raises(NotFound, match="not kept"):
        kept.letters.resend(1, None)


def test_a_payload_that_is_another_messages_by_now_is_not_the_letters() -> None:
    kept = Kept()
    raw = kept.large(MOST_BYTES // 2)
    number, _ = slab.parted(header_of(raw).body)
    stale = frame.large(0, 0, 0, 0, slab.body_of(number, 6))

    kept.keep(stale)
    kept.letters.drop(1)

    assert kept.vault.size_of(header_of(raw).body) == MOST_BYTES // 2
    assert kept.vault.size_of(header_of(stale).body) == 0


def test_an_ask_whose_deadline_has_passed_and_a_notice_are_no_letters() -> None:
    kept = Kept()
    notice = bytearray(frame.tell(0, b"on_down"))
    notice[frame.FLAGS_AT] |= frame.NOTICE

    kept.keep(frame.ask(0, b"", 7, 8, deadline_ns=99), now_ns=100)
    kept.keep(bytes(notice))

    assert kept.letters.list() == []
    kept.keep(frame.ask(0, b"", 7, 8, deadline_ns=101), now_ns=100)
    assert len(kept.letters.list()) == 1


def test_what_is_sent_again_is_a_tell_that_was_never_begun() -> None:
    raw = bytearray(frame.ask(1, b"payload", 7, 8, deadline_ns=99, retry=2))
    raw[frame.STATE_AT], raw[frame.INDEX_AT] = 3, 5

    header = header_of(as_tell(bytes(raw)))

    assert (header.state, header.index, header.retry) == (frame.QUEUED, 0, 2)
    assert (header.is_ask, header.ask_id, header.reply_to, header.deadline_ns) == (False, 0, 0, 0)
    assert header.flags & frame.PICKLED
    assert as_tell(bytes(raw)).endswith(b"payload" + (len(raw) | frame.END).to_bytes(4, "little"))


def test_a_letter_that_is_not_there_is_not_found() -> None:
    kept = Kept()

    for refused in (kept.letters.get, kept.letters.drop):
        with pytest.raises(NotFound, match="letter 7"):
            refused(7)


class Poisoned(Actor):
    """Dies of a message, for as long as a file is there."""

    def __init__(self, poison: str = "") -> None:
        self.poison = Path(poison)
        self.taken: list[Any] = []

    @message(retry=2)
    def take(self, value: Any) -> bool:
        if self.poison.is_file():
            with self.poison.open("a") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGKILL)
        self.taken.append(value)
        return self.context.redelivered

    @message
    def die(self, value: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    @message
    def takings(self) -> list[Any]:
        return self.taken

    @message
    def pid(self) -> int:
        return os.getpid()


@pytest.mark.process
def test_poison_is_run_again_as_often_as_it_may_then_it_is_a_dead_letter_and_the_queue_goes_on(
    start: Start, system: Supervisor, tmp_path: Path
) -> None:
    poison = tmp_path / "poison"
    poison.touch()
    actor = start(child(Poisoned, str(poison)), "poisoned")

    asked = actor.take.ask("poison")
    behind = actor.takings.ask()

    with pytest.raises(ActorDied) as caught:
        asked.result()
    assert caught.value.delivered == "started"
    assert caught.value.certificate.in_hand is not None
    assert caught.value.certificate.in_hand.attempt == 3
    assert poison.read_text() == "xxx"
    assert behind.result() == []
    [letter] = system.letters("poisoned")
    assert letter.message == "take"
    assert letter.asked
    assert "attempt 3" in letter.why

    poison.unlink()
    system.resend(letter.id)

    assert actor.takings() == ["poison"]
    assert system.letters("poisoned") == []


@pytest.mark.process
def test_a_message_that_was_begun_without_a_retry_is_a_dead_letter(start: Start, system: Supervisor) -> None:
    actor = start(child(Poisoned), "mortal")
    pid = actor.pid()

    actor.die.tell(1)

    assert wait_until(lambda: len(system.letters("mortal")) == 1)
    assert actor.pid() != pid
    [letter] = system.letters("mortal")
    assert (letter.message, letter.asked) == ("die", False)


@pytest.mark.process
def test_the_queue_of_a_closed_mailbox_is_dead_letters_that_can_be_sent_when_it_runs_again(
    start: Start, system: Supervisor, tmp_path: Path
) -> None:
    gate = start(child(Gate).options(drain="discard", shutdown=0.1), "gate")
    pid = gate.pid()
    held = gate.hold.ask(str(tmp_path / "in"), str(tmp_path / "go"))
    assert wait_until((tmp_path / "in").exists)
    gate.note.tell(1)
    gate.note.tell(b"x" * 100_000)
    asked = gate.note.ask(3)

    os.kill(pid, signal.SIGSTOP)  # it cannot end in order: after its `shutdown` it is killed
    system.stop("gate")

    with pytest.raises(ActorDied):
        held.result()
    with pytest.raises(ActorStopped):
        asked.result()
    letters = system.letters("gate")[-3:]
    assert all("stopped for good" in letter.why for letter in letters)
    with pytest.raises(ActorStopped):
        system.resend(letters[0].id)

    system.restart("gate")
    again = system.ref("gate", Gate)
    for letter in letters:
        system.resend(letter.id)

    assert again.notes() == [1, b"x" * 100_000, 3]
    for letter in system.letters("gate"):
        system.drop(letter.id)


@pytest.mark.process
def test_the_payload_of_a_letter_is_kept_until_it_is_dropped(start: Start, system: Supervisor) -> None:
    gate = start(child(Gate).options(restart="temporary"), "holder")
    pid = gate.pid()
    os.kill(pid, signal.SIGSTOP)
    gate.note.tell(b"x" * 1_000_000)

    os.kill(pid, signal.SIGKILL)

    def large() -> list[Letter]:  # the `pid` may be one too: answered, and killed before that was noted
        return [letter for letter in system.letters("holder") if letter.nbytes > 1_000_000]

    assert wait_until(lambda: len(large()) == 1)
    [letter] = large()
    assert bodies_of(system) == 1
    system.drop(letter.id)
    assert bodies_of(system) == 0
    with pytest.raises(NotFound):
        system.drop(letter.id)


@pytest.mark.process
def test_a_full_mailbox_takes_no_letter_and_the_letter_stays(start: Start, system: Supervisor) -> None:
    actor = start(child(Poisoned).options(mailbox=Mailbox(4096, "refuse")), "full")
    actor.die.tell(1)
    assert wait_until(lambda: len(system.letters("full")) == 1)
    [letter] = system.letters("full")

    with Stopped(actor.pid()):
        with pytest.raises(MailboxFull):
            while True:
                actor.takings.tell()
        with pytest.raises(MailboxFull):
            system.resend(letter.id)

    assert system.letters("full") == [letter]
    system.drop(letter.id)


class Touchy:
    """Comes only where it may."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, ()


def _rebuild() -> Any:
    raise RuntimeError("not here")


@pytest.mark.process
def test_a_message_that_cannot_be_decoded_is_a_dead_letter_and_the_actor_lives(
    start: Start, system: Supervisor
) -> None:
    gate = start(child(Gate), "reader")
    pid = gate.pid()

    gate.note.tell(Touchy())
    with pytest.raises((Undecodable, RemoteError)):
        gate.note(Touchy())

    assert gate.pid() == pid
    letters = system.letters("reader")
    assert len(letters) == 2
    assert all("cannot be decoded" in letter.why for letter in letters)
