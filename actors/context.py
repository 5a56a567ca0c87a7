"""`self.context`: an actor's view of the system it lives in."""

from collections.abc import Callable
from typing import Any, TypeVar, overload

from actors.errors import NotAMessage
from actors.interfaces import Backstage
from actors.layout import Layout
from actors.message import options_of
from actors.ref import Ref, name_of
from actors.region import Region
from actors.timer import Timer, Timers

A = TypeVar("A")
L = TypeVar("L", bound=Layout)


class Context:
    """There before `__init__`, the same object for the life of the incarnation.

    Attributes:
        name: dotted path of this actor.
        incarnation: 1 for the first process of that name.
        timers: of this incarnation, for the loop.
        redelivered: True while a message is handled that an earlier incarnation had begun (`@message(retry=…)`).
    """

    __slots__ = ("_actor", "_backstage", "_ref", "incarnation", "name", "redelivered", "stop_reason", "timers")

    def __init__(self, backstage: Backstage, actor: type[Any], name: str, incarnation: int) -> None:
        self._backstage = backstage
        self._actor = actor
        self._ref = Ref(backstage, name, actor)
        self.timers = Timers()
        self.name = name
        self.incarnation = incarnation
        self.redelivered = False
        self.stop_reason: str | None = None

    @property
    def ref(self) -> Any:
        """A reference to this actor, to be given to others."""
        return self._ref

    @property
    def log(self) -> Any:
        """A structlog BoundLogger with the actor's name and incarnation."""
        return self._backstage.log

    @property
    def supervisor(self) -> Any:
        """The supervisor this actor lives under: start, stop, restart, children. Blocks; `.aio` is its async face."""
        return self._backstage.supervisor

    @overload
    def ref_to(self, path: str) -> Any: ...
    @overload
    def ref_to(self, path: str, actor: type[A]) -> A: ...
    def ref_to(self, path: str, actor: type[Any] | None = None) -> Any:
        """A reference to the actor at a dotted path; typed and checked when its class is given."""
        return Ref(self._backstage, path, actor)

    @overload
    def region(self, name: str) -> Region[Any]: ...
    @overload
    def region(self, name: str, layout: type[L]) -> Region[L]: ...
    def region(self, name: str, layout: type[Any] | None = None) -> Region[Any]:
        """The shared region of that name; typed and checked when its layout is given. It must be there.

        Raises:
            NotFound: there is none; `context.supervisor.region(name, layout)` makes one.
            LayoutMismatch: it was made with another layout; the text shows the difference.
        """
        return self._backstage.region(name, layout)

    def empty(self, shape: int | tuple[int, ...], dtype: Any = "u1") -> Any:
        """An array to fill in place and then to send: as an argument, inside one, or as an answer, without any copy.

        A numpy array of the memory that the receiver will see; a memoryview without numpy. What is in it at first is
        arbitrary. Once it, or any part of it, was sent, it is the message's and must not be written any more; a numpy
        array becomes read-only. Sent again it is copied, as any other. Dropped unsent, its memory is used again.
        Under 4096 bytes it is an ordinary array, which goes into the message itself.

        Waits for memory until the ambient deadline, 5 s without one, and in an event loop not at all.

        Args:
            shape: one size, or one for each dimension; C order.
            dtype: whatever numpy takes for one, but for Python objects; without numpy a code of a layout.
        Raises:
            OutOfMemory: with what was asked for and what is left.
            ValueError: a size below 0, or Python objects as items.
        """
        return self._backstage.empty(shape, dtype)

    def after(self, seconds: float, message: Callable[..., Any], *args: Any) -> Timer:
        """Have `message(*args)` run on this actor in so many seconds, between two messages."""
        return self._set(seconds, 0.0, message, args)

    def every(self, seconds: float, message: Callable[..., Any], *args: Any) -> Timer:
        """Have `message(*args)` run on this actor every so many seconds; never piles up (TI-1)."""
        if not seconds > 0:
            raise ValueError(f"every: expected seconds above 0, got {seconds!r}")
        return self._set(seconds, seconds, message, args)

    def stop(self, reason: str = "normal") -> None:
        """Exit normally after the message in hand: `on_stop(reason)` is called, the restart type decides the rest.

        An actor that is not started again by that (`restart`) first handles what is queued now, unless its `drain` is
        "discard"; of one that is, the queue waits for the next incarnation.

        In `__init__` or `on_start`: it need not run at all. The start counts as done (OTP's ignore).
        """
        self.stop_reason = reason

    def watch(self, ref: object) -> None:
        """Have `on_down` called when that actor dies or stops; at once when it is not there."""
        self._backstage.watch(name_of(ref))

    def unwatch(self, ref: object) -> None:
        """Undo `watch`; nothing when there was none."""
        self._backstage.unwatch(name_of(ref))

    def watch_letters(self) -> None:
        """Have `on_letter` called for every dead letter there is from now on, but for this actor's own.

        It ends with the incarnation, as a watch does: call it in `on_start`.
        """
        self._backstage.watch_letters()

    def unwatch_letters(self) -> None:
        """Undo `watch_letters`; nothing when there was none."""
        self._backstage.unwatch_letters()

    def _set(self, seconds: float, every: float, message: Callable[..., Any], args: tuple[Any, ...]) -> Timer:
        if options_of(message) is None:
            raise NotAMessage(f"{self.name}: a timer runs a @message of its own actor, got {message!r}")
        due_ns = self._backstage.now_ns() + int(seconds * 1e9)
        return self.timers.add(Timer(message.__name__, message, args, due_ns, int(every * 1e9)))
