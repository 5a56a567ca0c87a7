"""Dead letters: messages that nobody will handle, kept so that somebody can look at them and send them again.

    its mailbox was closed ┐
    its actor died of it   ├─▶ keep ─▶ listed ─▶ resent to the name's present mailbox, or dropped
    it cannot be decoded   ┘                  └▶ over the bounds: the oldest are dropped, and counted

LT-1  Bounded by count and by bytes, large payloads included. One that is over the bound by itself is listed without its
      payload.
LT-2  What is listed are headers only: no payload is opened here, nor shown anywhere.
LT-3  Whoever asked has been told; so what is sent again is a tell. An ask whose deadline has passed is no letter: it
      would not have been run.
LT-4  A letter's large payload lives as long as the letter; resent, it is the message's again. One that its actor had
      let go of when it died is its sender's, and perhaps another message's by now: that letter has none.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from time import time

from actors.errors import ActorStopped, MailboxFull, NotFound
from actors.letter import Letter
from runtime.mailbox.box import Box
from runtime.mailbox.journal import is_started
from runtime.mailbox.poolqueue import PoolQueue
from runtime.vault import Vault
from runtime.wire import frame
from runtime.wire.frame import ASK, NOTICE, Header

MOST_LETTERS = 1000
MOST_BYTES = 8 << 20
_WHY_BYTES = 300


@dataclass(frozen=True, slots=True)
class _Kept:
    letter: Letter
    raw: bytes  # b"" of one without its payload
    body: int


class Letters:
    """All dead letters of a system, oldest first."""

    def __init__(self, vault: Vault, added: Callable[[Letter], None], lost: Callable[[str], None]) -> None:
        """Keep none yet.

        Args:
            vault: where large payloads are.
            added: told of each new letter.
            lost: told the actor of each that was dropped for want of room.
        """
        self._vault = vault
        self._added = added
        self._lost = lost
        self._kept: dict[int, _Kept] = {}
        self._nbytes = 0
        self._numbers = itertools.count(1)

    def keep(
        self, actor: str, header: Header, raw: bytes, *, why: str, message: str, now_ns: int, is_whole: bool = True
    ) -> None:
        """A message has ended without being handled. Its large payload is this letter's from now on.

        Args:
            actor: dotted path.
            header, raw: of its frame.
            why: in a few words.
            message: its name; "" when it is not known.
            now_ns: monotonic time.
            is_whole: its large payload, if it has one, has not been read and given back.
        """
        is_expired = header.is_ask and 0 < header.deadline_ns < now_ns  # LT-3
        body = header.body if is_whole and self._vault.size_of(header.body) else 0
        if header.flags & NOTICE or is_expired:
            self._vault.end_payload(body)
            return
        nbytes = len(raw) + self._vault.size_of(body)
        letter = Letter(
            next(self._numbers), actor, time(), why[:_WHY_BYTES], nbytes, message, header.is_ask, _attempt(header)
        )
        if nbytes <= MOST_BYTES and body == header.body:
            self._kept[letter.id] = _Kept(letter, raw, body)
            self._nbytes += nbytes
        else:
            self._vault.end_payload(body)
            self._kept[letter.id] = _Kept(letter, b"", 0)
        self._make_room()
        self._added(letter)

    def list(self, path: str = "") -> list[Letter]:
        """The letters of an actor, or of all below a supervisor; "" is the root."""
        return [kept.letter for kept in self._kept.values() if _is_at(kept.letter.actor, path)]

    def get(self, number: int) -> Letter:
        """One letter.

        Raises:
            NotFound: there is none of that number, or not any more.
        """
        return self._kept_of(number).letter

    def resend(self, number: int, box: Box | PoolQueue | None) -> None:
        """Put it into its actor's present mailbox, as a tell (LT-3); it is no letter any more.

        Args:
            number: its id.
            box: that mailbox; None: closed for good.
        Raises:
            NotFound: there is none of that number, or its payload was not kept.
            ActorStopped, MailboxFull: the letter stays.
        """
        kept = self._kept_of(number)
        if not kept.raw:
            raise NotFound(f"letter {number}", "its large payload was not kept")
        if box is None:
            raise ActorStopped(kept.letter.actor, "no", "stopped for good")
        if not box.post(as_tell(kept.raw)):
            raise MailboxFull(kept.letter.actor, "no", "no room in its mailbox")
        self._forget(kept)

    def drop(self, number: int) -> None:
        """Forget it, and its payload.

        Raises:
            NotFound: there is none of that number.
        """
        kept = self._kept_of(number)
        self._forget(kept)
        self._vault.end_payload(kept.body)

    def bodies(self) -> set[int]:
        """The large payloads that letters need."""
        return {kept.body for kept in self._kept.values() if kept.body}

    def _kept_of(self, number: int) -> _Kept:
        kept = self._kept.get(number)
        if kept is None:
            raise NotFound(f"letter {number}", "there is no such dead letter")
        return kept

    def _forget(self, kept: _Kept) -> None:
        del self._kept[kept.letter.id]
        if kept.raw:
            self._nbytes -= kept.letter.nbytes

    def _make_room(self) -> None:
        while len(self._kept) > MOST_LETTERS or self._nbytes > MOST_BYTES:
            oldest = next(iter(self._kept.values()))
            self.drop(oldest.letter.id)
            self._lost(oldest.letter.actor)


def as_tell(raw: bytes) -> bytes:
    """A frame as it was before it was sent, without whoever waited for its answer."""
    _, _, flags, retry, _, _, _, _, body = frame.unpack_header(raw, 0)
    head = frame.HEADER.pack(len(raw), frame.QUEUED, flags & ~ASK, retry, 0, 0, 0, 0, body)
    return head + raw[len(head) :]


def _attempt(header: Header) -> int:
    return header.state if is_started(header) else 0


def _is_at(actor: str, path: str) -> bool:
    return not path or actor == path or actor.startswith(f"{path}.")
