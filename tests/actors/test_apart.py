"""A coroutine in a context of its own: values, exceptions and its end pass through; ContextVars do not."""

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest

from actors.apart import Apart

_VAR: ContextVar[str] = ContextVar("var", default="outside")


async def sets(value: str, *, sleeps: int = 1) -> tuple[str, str]:
    before = _VAR.get()
    _VAR.set(value)
    for _ in range(sleeps):
        await asyncio.sleep(0)
    return before, _VAR.get()


@pytest.mark.parametrize("sleeps", [0, 1, 3])
def test_what_it_sets_is_its_own_through_every_wait(sleeps: int) -> None:
    async def main() -> Any:
        got = await Apart(sets, ("inside",), {"sleeps": sleeps})
        return got, _VAR.get()

    assert asyncio.run(main()) == (("outside", "inside"), "outside")


def test_what_is_raised_in_it_comes_out_and_what_it_waits_for_raises_into_it() -> None:
    async def fails() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_exception(KeyError("inside"))
        try:
            await future
        except KeyError:
            raise ValueError("outside") from None

    async def main() -> None:
        await Apart(fails, (), {})

    with pytest.raises(ValueError, match="outside"):
        asyncio.run(main())


def test_it_is_cancelled_with_the_task_that_awaits_it() -> None:
    ended: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append(_VAR.get())

    async def outer() -> None:
        await Apart(waits, (), {})

    async def main() -> None:
        task = asyncio.create_task(outer())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ended == ["outside"]


def test_closing_it_closes_the_coroutine() -> None:
    ended: list[bool] = []

    class Never:
        def __await__(self) -> Any:
            yield

    async def waits() -> None:
        try:
            await Never()
        finally:
            ended.append(True)

    async def outer() -> None:
        await Apart(waits, (), {})

    coroutine = outer()
    coroutine.send(None)
    coroutine.close()
    assert ended == [True]


def test_a_timeout_in_it_is_its_own() -> None:
    async def slow() -> str:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.sleep(1000)
        except TimeoutError:
            return "timed out"
        return ""

    async def main() -> Any:
        return await Apart(slow, (), {})

    assert asyncio.run(main()) == "timed out"
