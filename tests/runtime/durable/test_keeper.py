"""The keeper, with a shelf that does as it is told: who writes, when, and what comes of a failure."""

import os
import threading
from typing import Any

import pytest

from actors import NotDurable
from actors.child import Durable
from runtime.durable import keeper as module
from runtime.durable.keeper import Keeper
from runtime.durable.row import Row
from runtime.mailbox.page import SAVED, SAVES_FAILED
from runtime.testing import wait_until

OLD, NEW = Row(2, 0, b"old"), Row(3, 0, b"new")


class Shelf:
    def __init__(self, kept: Row | None = None) -> None:
        self.kept = kept
        self.is_full = False
        self.writers: list[threading.Thread] = []
        self.saved: list[Row] = []

    def load(self, system: str, actor: str) -> Row | None:
        assert (system, actor) == ("shop", "a.b")
        return self.kept

    def save(self, system: str, actor: str, row: Row) -> None:
        self.writers.append(threading.current_thread())
        if self.is_full:
            raise NotDurable("state.db", "database or disk is full")
        self.saved.append(row)

    def close(self) -> None: ...


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def error(self, event: str, **_: object) -> None:
        self.lines.append(event)

    warning = error


class Fixture:
    def __init__(self) -> None:
        self.shelf = Shelf()
        self.log = Log()
        self.words = memoryview(bytearray(512)).cast("Q")

    def keeper(self, every: Any) -> Keeper:
        return Keeper(Durable("state.db", every), "shop", "a.b", self.words, lambda: self.log)


@pytest.fixture
def fixture(monkeypatch: pytest.MonkeyPatch) -> Fixture:
    made = Fixture()
    monkeypatch.setattr(module, "opened", lambda _: made.shelf)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    return made


def test_each_message_is_written_by_the_actor_itself(fixture: Fixture) -> None:
    keeper = fixture.keeper("message")
    assert keeper.load() is None

    keeper.save(OLD)
    keeper.save(NEW)

    assert fixture.shelf.saved == [OLD, NEW]
    assert set(fixture.shelf.writers) == {threading.current_thread()}
    assert fixture.words[SAVED] == NEW.number


def test_in_the_background_the_latest_is_written_by_a_thread(fixture: Fixture) -> None:
    keeper = fixture.keeper(0.05)
    keeper.load()

    keeper.save(OLD)
    keeper.save(NEW)

    assert wait_until(lambda: fixture.words[SAVED] == NEW.number)
    assert fixture.shelf.saved == [NEW]
    assert threading.current_thread() not in fixture.shelf.writers
    keeper.close()
    assert fixture.shelf.saved == [NEW]


def test_without_a_state_there_is_no_thread(fixture: Fixture) -> None:
    before = threading.active_count()
    keeper = fixture.keeper(0.05)
    keeper.load()

    assert threading.active_count() == before
    keeper.close()
    assert fixture.shelf.saved == []


def test_close_writes_what_the_thread_had_not_come_to(fixture: Fixture) -> None:
    keeper = fixture.keeper(3600.0)
    keeper.load()
    keeper.save(NEW)

    keeper.close()

    assert fixture.shelf.saved == [NEW]
    assert fixture.log.lines == []


def test_a_full_disk_is_counted_said_once_and_tried_again(fixture: Fixture) -> None:
    keeper = fixture.keeper("message")
    keeper.load()
    fixture.shelf.is_full = True

    keeper.save(OLD)
    assert wait_until(lambda: fixture.words[SAVES_FAILED] >= 3)
    keeper.save(NEW)
    assert fixture.log.lines == ["its state cannot be written to disk"]

    fixture.shelf.is_full = False
    assert wait_until(lambda: fixture.words[SAVED] == NEW.number)
    keeper.close()
    assert fixture.log.lines == ["its state cannot be written to disk", "its state is written to disk again"]
    assert fixture.shelf.saved == [NEW]


def test_what_the_disk_never_took_is_said_in_the_end(fixture: Fixture) -> None:
    keeper = fixture.keeper("message")
    keeper.load()
    fixture.shelf.is_full = True
    keeper.save(NEW)

    keeper.close()

    assert fixture.log.lines[-1] == "ended with a state that is not on disk"


@pytest.mark.parametrize("kept", [None, OLD, Row(4, 0, b"of a message that was not done")])
def test_a_later_incarnation_sees_that_the_file_has_what_memory_has(fixture: Fixture, kept: Row | None) -> None:
    fixture.shelf.kept = kept

    fixture.keeper("message").resume(NEW)

    assert fixture.shelf.saved == [NEW]


def test_a_later_incarnation_does_not_write_what_is_there(fixture: Fixture) -> None:
    fixture.shelf.kept = NEW

    fixture.keeper("message").resume(NEW)

    assert fixture.shelf.saved == []
    assert fixture.words[SAVED] == NEW.number


def test_a_later_incarnation_starts_without_its_file(fixture: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = fixture.keeper("message")

    def gone(path: str) -> Shelf:
        raise NotDurable(path, "its directory does not exist")

    with monkeypatch.context() as patch:
        patch.setattr(module, "opened", gone)
        keeper.resume(NEW)
        assert fixture.words[SAVES_FAILED] == 1

    assert wait_until(lambda: fixture.shelf.saved == [NEW])
    keeper.close()


def test_a_forked_child_writes_nothing(fixture: Fixture) -> None:
    keeper = fixture.keeper(3600.0)
    keeper.load()
    keeper.save(NEW)
    pid = os.fork()
    if not pid:
        try:
            keeper.close()
        finally:
            os._exit(len(fixture.shelf.saved))

    assert os.waitpid(pid, 0)[1] == 0
    keeper.close()
    assert fixture.shelf.saved == [NEW]


def _refuse(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_without_a_thread_the_messages_write_what_it_would_have(
    fixture: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading.Thread, "start", _refuse)
    now = [100.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    keeper = fixture.keeper(0.5)
    keeper.load()

    keeper.save(OLD)
    assert fixture.shelf.saved == []  # it is not time yet
    now[0] += 1.0
    keeper.save(NEW)
    assert fixture.shelf.saved == [NEW]
    keeper.save(OLD)
    keeper.close()
    assert fixture.shelf.saved == [NEW, OLD]


def test_without_a_thread_a_file_that_cannot_be_written_is_tried_again_by_messages(
    fixture: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    keeper = fixture.keeper("message")
    keeper.load()
    fixture.shelf.is_full = True
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _refuse)

        for _ in range(5):
            keeper.save(OLD)
        assert fixture.words[SAVES_FAILED] == 1
        now[0] += 1.0
        keeper.save(OLD)
        assert fixture.words[SAVES_FAILED] == 2

        fixture.shelf.is_full = False
        now[0] += 1.0
        keeper.save(NEW)
        assert fixture.shelf.saved == [NEW]

    keeper.save(OLD)
    keeper.close()
    assert fixture.shelf.saved == [NEW, OLD]


def test_a_thread_that_can_be_had_later_writes_again(fixture: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = fixture.keeper(0.01)
    keeper.load()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _refuse)
        keeper.save(OLD)

    keeper.save(NEW)

    assert wait_until(lambda: fixture.words[SAVED] == NEW.number)
    keeper.close()
