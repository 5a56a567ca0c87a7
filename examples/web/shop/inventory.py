"""What the shop has in stock. One process owns it, so no lock and no database transaction is needed."""

from collections.abc import Mapping
from typing import TypedDict

from actors import Actor, message


class UnknownItem(Exception):
    """The shop does not sell that."""

    def __init__(self, item: str) -> None:
        super().__init__(item)
        self.item = item


class OutOfStock(Exception):
    """Fewer are left than were ordered."""

    def __init__(self, item: str, left: int) -> None:
        super().__init__(item, left)
        self.item = item
        self.left = left


class Stock(TypedDict):
    item: str
    left: int


class Receipt(TypedDict):
    order: str
    item: str
    quantity: int
    left: int


class Inventory(Actor):
    def __init__(self, stock: Mapping[str, int]) -> None:
        self._left = dict(stock)
        self._orders = 0

    @message
    def stock(self, item: str) -> Stock:
        """How many are left."""
        if item not in self._left:
            raise UnknownItem(item)
        return {"item": item, "left": self._left[item]}

    @message
    def order(self, item: str, quantity: int) -> Receipt:
        """Take so many out of the stock."""
        left = self.stock(item)["left"] - quantity
        if left < 0:
            raise OutOfStock(item, left + quantity)
        self._left[item] = left
        self._orders += 1
        number = f"{self.context.incarnation}-{self._orders}"  # after a restart the stock, and the numbers, are new
        return {"order": number, "item": item, "quantity": quantity, "left": left}
