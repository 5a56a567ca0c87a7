"""Overrides, mix-ins and super()."""

# pyright: strict

from typing import assert_type

from actors import Actor, Reply, message


class Base(Actor):
    @message
    def name(self, loud: bool = False) -> str:
        return "base"

    @message
    async def load(self, n: int) -> object:
        return n


class Derived(Base, on_raise="crash"):
    @message
    def name(self, loud: bool = False) -> str:
        return super().name(loud)

    @message
    async def load(self, n: int) -> int:
        await super().load(n)
        return n


class Pausing:
    @message
    def pause(self, *, seconds: float) -> None: ...


class Mixed(Pausing, Derived):
    pass


async def use(base: Base, derived: Derived, mixed: Mixed) -> None:
    assert_type(base.name(loud=True), str)
    assert_type(derived.name.ask(), Reply[str])
    assert_type(await derived.load(1), int)
    assert_type(await base.load.ask(1), object)
    same: Base = derived
    same.name.tell()
    mixed.pause.tell(seconds=1.0)
    assert_type(mixed.name(), str)
