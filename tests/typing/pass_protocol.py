"""Protocols: an actor is known to others by the messages they need."""

# pyright: strict

from typing import Protocol, assert_type

from actors import Actor, BoundMessage, child, message
from actors.child import Child
from runtime import Supervisor


class Prices(Protocol):
    @property
    def price(self) -> BoundMessage[[str], int]: ...


class Quoting(Protocol):
    def quote(self, tea: str) -> int: ...


class Market(Actor):
    @message
    def price(self, tea: str) -> int:
        return len(tea)

    def quote(self, tea: str) -> int:
        return self.price(tea)


class Cart(Actor):
    def __init__(self, prices: Prices) -> None:
        self.prices = prices

    @message
    def total(self, *teas: str) -> int:
        return sum(self.prices.price(tea) for tea in teas)


def use(supervisor: Supervisor) -> None:
    market = supervisor.start(child(Market), name="market")
    prices: Prices = market
    quoting: Quoting = market
    assert_type(prices.price("tea"), int)
    prices.price.tell("tea")
    assert_type(quoting.quote("tea"), int)
    assert_type(child(Cart, market), Child[Cart])
    cart = supervisor.start(child(Cart, prices), name="cart")
    assert_type(cart.total("green", "black"), int)
