"""Roles: what a class says of how it is played."""

from typing import Any

from actors import Actor, message
from actors.role import role_of


class Mixed(Actor):
    @message
    def plain(self) -> None: ...

    @message(copy=True, snapshot=False)
    async def slow(self) -> None: ...

    @message(concurrent=True)
    async def beside(self) -> None: ...

    async def on_down(self, down: Any) -> None: ...

    async def on_start(self) -> None: ...


class Plain(Actor):
    @message
    def plain(self) -> None: ...


def test_a_role_names_the_messages_of_each_kind() -> None:
    role = role_of(Mixed)
    assert [entry.name for entry in role.entries] == ["plain", "slow", "beside"]
    assert role.asynchronous == {"slow", "beside", "on_down"}  # what comes as a message does; on_start does not
    assert role.concurrent == {"beside"}
    assert role.copied == {"slow"}
    assert role.unsnapped == {"slow"}


def test_one_async_hook_makes_an_actor_async() -> None:
    class Stopping(Plain):
        async def on_stop(self, reason: str) -> None: ...

    assert not role_of(Plain).is_async
    assert role_of(Stopping).is_async
    assert not role_of(Stopping).asynchronous


def test_a_role_is_that_of_the_class_after_its_decorators() -> None:
    def waiting(kind: type[Actor]) -> type[Actor]:
        async def on_start(self: Actor) -> None: ...

        kind.on_start = on_start  # type: ignore[method-assign]
        return kind

    @waiting
    class Decorated(Plain): ...

    assert role_of(Decorated).is_async
    assert role_of(Decorated) is role_of(Decorated)
