"""The file of states, without actors: what is in it, who may use it at once, what is refused."""

import os
import signal
import sqlite3
import stat
from pathlib import Path

import pytest

from actors import NotDurable
from runtime.durable.database import Database
from runtime.durable.row import Row


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "a state's #1?.db")


def test_what_was_saved_is_loaded_by_the_next_to_open_it(file: str) -> None:
    database = Database(file)
    database.save("shop", "a.b", Row(1, 0, b"old"))
    database.save("shop", "a.b", Row(2, 1, b"new"))
    database.close()

    database = Database(file)
    assert database.load("shop", "a.b") == (2, 1, b"new")
    assert database.load("shop", "a") is None
    assert database.load("other", "a.b") is None
    database.close()


def test_it_is_ours_alone_and_any_program_can_read_it(file: str) -> None:
    database = Database(file)
    database.save("shop", "a", Row(1, 0, b"\x01"))

    with sqlite3.connect(file) as reader:
        found = reader.execute("SELECT system, actor, number, kind, state FROM snapshot").fetchall()
    reader.close()
    database.close()

    assert found == [("shop", "a", 1, 0, b"\x01")]
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600


def test_each_save_is_synced_to_the_write_ahead_log(file: str) -> None:
    database = Database(file)

    settings = {name: database._number(f"PRAGMA {name}") for name in ("journal_mode", "synchronous")}
    database.close()

    assert settings == {"journal_mode": "wal", "synchronous": 2}  # FULL


def _in_children(count: int, work: object) -> list[int]:
    """Exit statuses of so many forks that begin as one."""
    read, write = os.pipe()
    pids = []
    for n in range(count):
        pid = os.fork()
        if not pid:
            os.close(write)
            os.read(read, 1)
            try:
                work(n)  # type: ignore[operator]
                os._exit(0)
            finally:
                os._exit(1)
        pids.append(pid)
    os.close(read)
    os.close(write)
    return [os.waitpid(pid, 0)[1] for pid in pids]


def test_many_may_make_it_and_write_to_it_at_once(file: str) -> None:
    def work(n: int) -> None:
        database = Database(file)
        for number in range(1, 6):
            database.save("shop", f"a{n}", Row(number, 0, bytes([n])))
        database.close()

    assert _in_children(8, work) == [0] * 8
    database = Database(file)
    assert [database.load("shop", f"a{n}") for n in range(8)] == [(5, 0, bytes([n])) for n in range(8)]
    database.close()


def test_a_writer_that_is_killed_leaves_what_it_saved_last(file: str) -> None:
    def work(_: int) -> None:
        database = Database(file)
        database.save("shop", "a", Row(1, 0, b"saved"))
        database._connection.execute("BEGIN IMMEDIATE")
        database.save("shop", "a", Row(2, 0, b"half"))
        os.kill(os.getpid(), signal.SIGKILL)

    assert _in_children(1, work) == [signal.SIGKILL]
    database = Database(file)
    assert database.load("shop", "a") == (1, 0, b"saved")
    database.close()


def test_a_file_that_was_replaced_is_an_error_and_not_a_write_to_nowhere(file: str) -> None:
    database = Database(file)
    os.rename(file, f"{file}.old")
    Database(file).close()

    with pytest.raises(NotDurable, match="it was removed or replaced"):
        database.save("shop", "a", Row(1, 0, b"x"))
    database.close()


def test_a_damaged_file_is_refused(file: str) -> None:
    database = Database(file)
    database.save("shop", "a", Row(1, 0, b"x" * 10_000))
    database.close()
    with open(file, "r+b") as raw:
        raw.seek(4096)
        raw.write(b"\xff" * 8192)

    with pytest.raises(NotDurable, match="malformed"):
        Database(file).load("shop", "a")


def test_a_state_that_was_not_signed_with_the_key_is_refused_whoever_wrote_it(file: str) -> None:
    database = Database(file)
    database.save("shop", "a", Row(1, 0, b"mine"))
    database.save("shop", "b", Row(1, 0, b"mine"))
    database.close()
    with sqlite3.connect(file) as writer:
        writer.execute("UPDATE snapshot SET state = ? WHERE actor = 'a'", (b"planted",))
    writer.close()

    database = Database(file)
    with pytest.raises(NotDurable, match=r"the state of 'a' was not signed with the key in .*-key"):
        database.load("shop", "a")
    assert database.load("shop", "b") == (1, 0, b"mine")
    database.save("shop", "a", Row(2, 0, b"again"))
    assert database.load("shop", "a") == (2, 0, b"again")
    database.close()


def test_a_state_of_one_actor_is_not_taken_for_anothers(file: str) -> None:
    database = Database(file)
    database.save("shop", "a", Row(1, 0, b"of a"))
    database.close()
    with sqlite3.connect(file) as writer:
        writer.execute("UPDATE snapshot SET actor = 'b'")
    writer.close()

    database = Database(file)
    with pytest.raises(NotDurable, match="was not signed"):
        database.load("shop", "b")
    database.close()


@pytest.mark.parametrize("column", ["number", "kind", "state", "signature"])
def test_a_row_of_other_types_is_damaged(file: str, column: str) -> None:
    database = Database(file)
    database.save("shop", "a", Row(1, 0, b"mine"))
    database.close()
    with sqlite3.connect(file) as writer:
        writer.execute(f"UPDATE snapshot SET {column} = 'text'")
    writer.close()

    database = Database(file)
    with pytest.raises(NotDurable, match="the state of 'a' is damaged"):
        database.load("shop", "a")
    database.close()


def test_states_whose_key_is_gone_are_refused_and_kept(file: str) -> None:
    database = Database(file)
    database.save("shop", "a", Row(1, 0, b"mine"))
    database.close()
    os.rename(f"{file}-key", f"{file}-key.away")

    with pytest.raises(NotDurable, match=r"its states are signed, and the key .*-key is missing"):
        Database(file)

    os.rename(f"{file}-key.away", f"{file}-key")
    database = Database(file)
    assert database.load("shop", "a") == (1, 0, b"mine")
    database.close()


def test_a_key_that_is_replaced_while_the_file_is_open_signs_nothing_more(file: str) -> None:
    database = Database(file)
    database.save("shop", "a", Row(1, 0, b"mine"))
    os.unlink(f"{file}-key")

    with pytest.raises(NotDurable, match=r"its key .* was removed or replaced"):
        database.save("shop", "a", Row(2, 0, b"lost"))
    database.close()


def test_a_file_begun_anew_is_signed_with_the_key_that_is_there(file: str) -> None:
    Database(file).close()
    with open(f"{file}-key", "rb") as key:
        before = key.read()
    os.unlink(file)

    database = Database(file)
    database.save("shop", "a", Row(1, 0, b"mine"))
    database.close()

    with open(f"{file}-key", "rb") as key:
        assert key.read() == before
