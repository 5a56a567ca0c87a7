"""Generic actors and generic messages."""

# pyright: strict

from collections.abc import Callable
from typing import Generic, TypeVar, assert_type

from actors import Actor, Reply, child, message
from runtime import Supervisor

T = TypeVar("T")
K = TypeVar("K")


class Store(Actor, Generic[K, T]):
    def __init__(self, first: dict[K, T]) -> None:
        self.items = first

    @message
    def put(self, key: K, value: T) -> None:
        self.items[key] = value

    @message
    def get(self, key: K) -> T:
        return self.items[key]

    @message
    async def fetch(self, key: K) -> T:
        return self.items[key]


class Echo(Actor):
    @message
    def same(self, value: T) -> T:
        return value

    @message
    def pair(self, one: T, other: K) -> tuple[T, K]:
        return one, other

    @message
    async def later(self, value: T) -> T:
        return value

    @message(retry=1)
    def first(self, values: list[T]) -> T:
        return values[0]

    @message
    def apply(self, fn: Callable[[int], int], *values: int) -> list[int]:
        return [fn(value) for value in values]


async def use(supervisor: Supervisor) -> None:
    store = supervisor.start(child(Store[str, int], {"tea": 3}), name="store")
    assert_type(store, Store[str, int])
    assert_type(store.get("tea"), int)
    assert_type(store.get.ask("tea"), Reply[int])
    store.put.tell("tea", 4)
    assert_type(await store.fetch("tea"), int)
    assert_type(store.fetch.ask("tea"), Reply[int])
    assert_type(await store.fetch.ask("tea"), int)

    echo = supervisor.start(child(Echo), name="echo")
    assert_type(echo.same(1), int)
    assert_type(echo.same("a"), str)
    assert_type(echo.pair(1, "a"), tuple[int, str])
    assert_type(await echo.later(1), int)
    assert_type(echo.first([1.0]), float)
    assert_type(echo.same.ask(b"").result(), bytes)
    assert_type(echo.apply(abs, 1, 2), list[int])
    echo.same.tell(1)
