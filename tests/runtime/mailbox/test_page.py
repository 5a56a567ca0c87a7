"""The page: one mapping for each process, its tables, last words and log."""

import os
from collections.abc import Iterator

import pytest

from actors.message import MessageEntry, MessageOptions
from runtime.mailbox import page
from runtime.mailbox.page import LAST_WORDS_SIZE, LOG_RING_SIZE, Page, packed


@pytest.fixture
def fd() -> Iterator[int]:
    made = page.create(32768)
    yield made
    os.close(made)


@pytest.fixture
def made(fd: int) -> Iterator[Page]:
    mapped = Page(fd)
    yield mapped
    mapped.close()


def test_a_page_is_zero_has_room_for_the_journal_and_cannot_shrink(fd: int, made: Page) -> None:
    assert [word for word, value in enumerate(made.words) if value] == [page.JOURNAL_BYTES]
    assert len(made.journal) == 32768
    assert not any(made.journal)
    assert len(made.urgent_journal) == 4096
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 0)
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 1 << 24)


def test_a_journal_grows_where_it_is_and_only_up_to_what_is_wanted_has_memory(fd: int, made: Page) -> None:
    before = os.fstat(fd).st_blocks * 512
    made.journal[:5] = b"frame"
    other = Page(fd)

    page.grow(made, fd, 1 << 20)
    page.grow(made, fd, 4096)  # one that has more keeps it

    assert before == page.JOURNAL_AT + 32768 + LAST_WORDS_SIZE
    assert os.fstat(fd).st_blocks * 512 == before + (1 << 20) - 32768
    assert len(other.journal) == 1 << 20
    assert bytes(other.journal[:5]) == b"frame"
    other.close()


def test_every_word_has_a_place_of_its_own(made: Page) -> None:
    above = [name for name in vars(page) if name.isupper() and not name.startswith("MOST_")]
    names = above[above.index("LIFE") : above.index("REFUSES") + 1]
    places = [getattr(page, name) for name in names] + list(range(page.WAITS + 1, page.WAITS + page.MOST_WAITS))

    assert len(names) > 30
    assert len(set(places)) == len(places)
    assert max(places) < len(made.words)
    assert len(made.words) * 8 <= page.TABLE_AT


def test_the_indexes_of_messages_and_those_of_notices_share_a_byte() -> None:
    assert page.NOTICES_FROM == page.MOST_MESSAGES + 1
    assert page.MOST_MESSAGES < 255
    assert min(page.HOOKS.values()) > 255


def test_words_are_seen_by_every_mapping(fd: int, made: Page) -> None:
    other = Page(fd)
    made.words[page.HANDLED] = 1 << 63

    assert other.words[page.HANDLED] == 1 << 63
    other.close()


def test_the_message_table_arrives_as_published(fd: int, made: Page) -> None:
    entries = [
        MessageEntry("add", False, MessageOptions(), "(n: int) -> int"),
        MessageEntry("watch", True, MessageOptions(retry=3, concurrent=True, watchdog=1.5), "()"),
    ]
    assert made.table() == {}

    made.publish(packed(entries))

    other = Page(fd)
    assert list(other.table().values()) == entries
    other.close()


def test_a_table_that_is_too_large_loses_its_signatures_first(made: Page) -> None:
    entries = [MessageEntry(f"message{n}", False, MessageOptions(), "x" * 400) for n in range(100)]

    made.publish(packed(entries))

    assert [entry.name for entry in made.table().values()] == [entry.name for entry in entries]
    assert {entry.signature for entry in made.table().values()} == {"(…)"}
    with pytest.raises(ValueError, match="message table"):
        packed([MessageEntry("m" * 60 + str(n), False, MessageOptions(), "") for n in range(1000)])


def test_last_words_keep_their_end_and_can_be_forgotten(made: Page) -> None:
    made.say("x" * LAST_WORDS_SIZE + "the end")
    assert made.last_words().endswith("the end")
    assert len(made.last_words()) == LAST_WORDS_SIZE

    made.forget_last_words()

    assert made.last_words() == ""


def test_last_words_of_who_writes_without_a_count_end_at_the_first_nul(made: Page) -> None:
    made.view[made.last_words_at : made.last_words_at + 5] = b"Fatal"

    assert made.last_words() == "Fatal"


def test_last_words_without_a_count_can_be_forgotten_too(made: Page) -> None:
    made.view[made.last_words_at : made.last_words_at + 4] = b"dump"

    made.forget_last_words()

    assert made.last_words() == ""


def test_a_process_that_was_forked_writes_nothing(made: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    before = bytes(made.view)
    monkeypatch.setattr(os, "getpid", lambda: 1)

    made.say("last words")
    made.log("a line")
    made.lose_line()

    assert bytes(made.view) == before


def test_lines_that_were_lost_are_counted(made: Page) -> None:
    made.lose_line()
    made.lose_line()

    assert made.words[page.LOST_LINES] == 2


@pytest.mark.parametrize(
    ("in_hand", "unread"),
    [(0, 0), (1, 300), (101, 200), (1 | page.URGENT_LANE, 300), (1 | page.ASIDE_LANE, 300), (400, 0)],
)
def test_what_is_unread_is_what_lies_behind_the_message_in_hand(made: Page, in_hand: int, unread: int) -> None:
    made.words[page.EXTENT] = 300
    made.words[page.IN_HAND] = in_hand

    assert page.unread_bytes(made.words) == unread
    assert not in_hand or page.place_of(in_hand) == in_hand % (1 << 60) - 1


def test_the_log_keeps_the_last_lines_whole_and_in_order(made: Page) -> None:
    for n in range(1000):
        made.log(f"line {n} " + "." * 20)

    lines = made.log_lines(1000)

    assert lines == tuple(f"line {n} " + "." * 20 for n in range(1000 - len(lines), 1000))
    assert 100 < len(lines) < LOG_RING_SIZE // 20
    assert made.log_lines(2) == lines[-2:]


def test_a_log_line_longer_than_the_ring_does_no_harm(made: Page) -> None:
    made.log("x" * (2 * LOG_RING_SIZE))
    made.log("after")

    assert made.log_lines()[-1] == "after"
