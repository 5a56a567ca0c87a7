"""Apart: a coroutine awaited in a context (`contextvars`) of its own, without a task of its own.

A task would cost several times what a short handler does, and a turn of the event loop.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import copy_context
from typing import Any, Self

from actors.turn import turn


class Apart:
    """What an `async def` returns when it is called, and awaited, in a copy of the present context.

    Attributes:
        cr_await: the coroutine, as a coroutine says what it awaits: whoever follows that chain gets there.
    """

    __slots__ = ("_run", "cr_await")

    def __init__(
        self,
        function: Callable[..., Coroutine[Any, Any, Any]],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> None:
        """Call it; nothing of it has run yet."""
        self._run = copy_context().run
        self.cr_await = self._run(function, *args, **kwargs)
        self._run(turn.set, self.cr_await)

    def __await__(self) -> Any:  # of itself: that it generates
        return self

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return self._run(self.cr_await.send, None)

    def send(self, value: Any) -> Any:
        """Go on with it, as `Generator.send`."""
        return self._run(self.cr_await.send, value)

    def throw(self, *error: Any) -> Any:
        """Raise in it, as `Generator.throw`."""
        return self._run(self.cr_await.throw, *error)

    def close(self) -> None:
        """End it, as `Generator.close`."""
        self._run(self.cr_await.close)
