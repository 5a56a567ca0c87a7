"""The post: how messages get from a reference to a mailbox of the Stage. The rules are the endpoint's.

PO-1  A sender waits for room until its deadline; where it may not wait (an event loop, `when_full = "refuse"`) a full
      mailbox is `MailboxFull` at once.
PO-2  An actor that waits, directly or not, for the answer of this very call is never waited for: `AskCycle` at once
      (actors.chain).
"""

import asyncio
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol
from weakref import WeakValueDictionary

from actors.chain import Chain, cycle_of, kept
from actors.deadline import DEFAULT_SECONDS, ambient
from actors.errors import ActorStopped, AskCycle, DeadlineExceeded, Delivered, MailboxFull, NoSuchMessage
from actors.message import BoundMessage, MessageEntry, messages_of
from actors.rehearsal.letter import Letter, Pending, copied, refuse_in_loop
from actors.rehearsal.player import Player
from actors.turn import holds_up

Args = tuple[Any, ...]
Kwargs = Mapping[str, Any]


class Scene(Protocol):
    """What the post needs of the play."""

    open: list[Pending]

    @property
    def current(self) -> Player | None:
        """Whose turn it is; None: the test's own."""
        ...

    def now_ns(self) -> int:
        """Virtual time."""
        ...

    def check(self) -> None:
        """Stop the code of a killed actor."""
        ...

    def known(self, path: str) -> Player:
        """The player of that path."""
        ...

    def wait(self, pending: Pending, timeout: float | None) -> None:
        """Play on until that ask has ended."""
        ...


class Post:
    """Binds messages of references."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._ids = itertools.count(1)
        self._asks: WeakValueDictionary[str, Pending] = WeakValueDictionary()

    def bind(self, path: str, name: str, entry: MessageEntry | None) -> BoundMessage[Any, Any]:
        """See `actors.interfaces.Machine.bind`."""
        row = entry or messages_of(self._scene.known(path).actor).get(name)
        if row is None:
            raise NoSuchMessage(f"{path}: the actor has no message {name!r}")
        message = row

        def ask(*args: Any, **kwargs: Any) -> Pending:
            return self._ask(path, message, args, kwargs)

        def call(*args: Any, **kwargs: Any) -> Any:
            refuse_in_loop()
            self._refuse_cycle(ambient.get()[1], path)
            return ask(*args, **kwargs).result()

        async def call_async(*args: Any, **kwargs: Any) -> Any:
            self._refuse_cycle(ambient.get()[1], path)
            return await ask(*args, **kwargs)

        def tell(*args: Any, **kwargs: Any) -> None:
            receiver, letter = self._receiver(path), _letter(message, args, kwargs)
            self._wait_for_room(receiver, self._until_ns())
            _put(receiver, letter)

        async def send(*args: Any, **kwargs: Any) -> None:
            receiver, letter = self._receiver(path), _letter(message, args, kwargs)
            until_ns = self._until_ns()
            while not receiver.inbox.has_room:
                await self._room(receiver, until_ns)
            _put(receiver, letter)

        return BoundMessage(name, call_async if message.is_async else call, ask, tell, send)

    def _ask(self, path: str, message: MessageEntry, args: Args, kwargs: Kwargs) -> Pending:
        self._scene.check()
        until_ns, chain = ambient.get()
        if until_ns is None:
            until_ns = self._until_ns()
        me, ask_id, asked_in = self._scene.current, next(self._ids), chain
        if me is not None:
            chain = kept(chain, me.path, ask_id)
        letter = _letter(message, args, kwargs)
        receiver = self._receiver(path)
        letter.deadline_ns, letter.chain = until_ns, chain
        letter.reply = pending = self._pending(receiver, until_ns, lambda: _late(receiver, letter))
        if me is not None:
            self._asks[f"{ask_id:x}"] = pending
            pending.begun = lambda: self._begun(pending, asked_in)
        if _in_loop() and receiver.spec.settings.mailbox.when_full == "wait":
            _put(receiver, letter)  # it queues with its sender, as in a loop's outbox
        else:
            self._wait_for_room(receiver, until_ns)
            _put(receiver, letter)
        self._scene.open.append(letter.reply)
        return letter.reply

    @contextmanager
    def _begun(self, ask: Pending, asked_in: Chain) -> Iterator[None]:
        """The actor whose turn it is waits for that ask."""
        chain = ambient.get()[1]
        ask.is_waited_for, ask.holds_up = chain is asked_in, holds_up()
        try:
            self._refuse_cycle(chain, ask.actor)
            yield
        finally:
            ask.is_waited_for = ask.holds_up = False

    def _refuse_cycle(self, chain: Chain, path: str) -> None:
        me = self._scene.current
        if me is None or (me.path == path and not holds_up()):
            return
        cycle = cycle_of(chain, me.path, path, self._is_waiting)
        if cycle is not None:
            raise AskCycle(cycle)  # PO-2

    def _is_waiting(self, _path: str, ask_id: str, is_held_up: bool) -> bool:  # actors.chain.Waiting
        ask = self._asks.get(ask_id)
        return ask is not None and (ask.holds_up if is_held_up else ask.is_waited_for)

    def _receiver(self, path: str) -> Player:
        self._scene.check()
        player = self._scene.known(path)
        if player.is_stopped:
            raise ActorStopped(path, "no", "stopped for good")
        return player

    def _wait_for_room(self, receiver: Player, until_ns: int) -> None:
        while not receiver.inbox.has_room:
            if _in_loop():
                detail = "the mailbox is full; `await ref.message.send(…)` waits for room"
                raise MailboxFull(receiver.path, "no", detail)
            self._room(receiver, until_ns).result()

    def _room(self, receiver: Player, until_ns: int) -> Pending:
        """Ends when one more letter fits (PO-1)."""
        if receiver.spec.settings.mailbox.when_full == "refuse":
            raise MailboxFull(receiver.path, "no", "the mailbox is full")
        detail = "no room in the mailbox before the deadline"
        room = self._pending(receiver, until_ns, lambda: MailboxFull(receiver.path, "no", detail))
        receiver.inbox.full.append(room)
        self._scene.open.append(room)
        return room

    def _pending(self, receiver: Player, until_ns: int, expired: Callable[[], Exception]) -> Pending:
        me = self._scene.current
        return Pending(self._scene.wait, receiver.path, me.path if me is not None else "", until_ns, expired)

    def _until_ns(self) -> int:
        until_ns = ambient.get()[0]
        return self._scene.now_ns() + int(DEFAULT_SECONDS * 1e9) if until_ns is None else until_ns


def _letter(message: MessageEntry, args: Args, kwargs: Kwargs) -> Letter:
    arrived = tuple(copied(value, f"{message.name}() argument {n}") for n, value in enumerate(args, 1))
    named = {key: copied(value, f"{message.name}() argument {key}") for key, value in kwargs.items()}
    options = message.options
    return Letter(message.name, arrived, named, is_urgent=options.urgent, retry=options.retry)


def _put(receiver: Player, letter: Letter) -> None:
    (receiver.inbox.urgent if letter.is_urgent else receiver.inbox.queue).append(letter)


def _late(receiver: Player, letter: Letter) -> DeadlineExceeded:
    is_queued = letter in receiver.inbox.queue or letter in receiver.inbox.urgent
    verdict: Delivered = "no" if is_queued else "started"
    return DeadlineExceeded(receiver.path, verdict, "no answer before the deadline")


def _in_loop() -> bool:
    return asyncio._get_running_loop() is not None  # noqa: SLF001  # get_running_loop() raises where there is none
