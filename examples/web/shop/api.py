"""The shop's HTTP interface: each request becomes an ask, each answer, failure and verdict becomes JSON."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from actors import deadline
from runtime.web import AskErrors, JsonBody, Refused, answer
from shop.crasher import Crasher
from shop.inventory import Inventory, OutOfStock, UnknownItem
from shop.primes import Primes

MOST_BELOW = 20_000_000  # about half a second of one CPU


class Order(BaseModel):
    """The body of POST /orders."""

    model_config = ConfigDict(extra="forbid", strict=True)

    item: Annotated[str, Field(min_length=1, max_length=64)]
    quantity: Annotated[int, Field(ge=1, le=1000)]


class Api:
    """The endpoints, with the references they ask."""

    def __init__(self, inventory: Inventory, primes: Primes, crasher: Crasher) -> None:
        self._inventory = inventory
        self._primes = primes
        self._crasher = crasher
        self._order = JsonBody(Order, most_bytes=16 * 1024)

    async def stock(self, request: Request) -> Response:
        """GET /stock/{item}"""
        stock = self._inventory.stock.ask(request.path_params["item"])
        return JSONResponse(await answer(request.receive, stock, only=True))

    async def order(self, request: Request) -> Response:
        """POST /orders {"item": …, "quantity": …}"""
        order = await self._order.read(request.scope, request.receive)
        receipt = await answer(request.receive, self._inventory.order.ask(order.item, order.quantity), only=True)
        return JSONResponse(receipt, status_code=201)

    async def primes(self, request: Request) -> Response:
        """GET /primes/{below}"""
        below = request.path_params["below"]
        if not (below.isascii() and below.isdecimal()):
            raise HTTPException(404)
        if len(below) > len(str(MOST_BELOW)) or int(below) > MOST_BELOW:
            raise Refused(400, "invalid request", {"fields": {"below": f"Input should be at most {MOST_BELOW}"}})
        with deadline(10):
            count = self._primes.count.ask(int(below))
        return JSONResponse(await answer(request.receive, count, only=True))

    async def crash(self, request: Request) -> Response:
        """POST /crash"""
        await answer(request.receive, self._crasher.crash.ask(), only=True)
        return Response(status_code=204)

    async def crasher(self, request: Request) -> Response:
        """GET /crasher"""
        return JSONResponse({"incarnation": await answer(request.receive, self._crasher.ping.ask(), only=True)})


async def on_unknown_item(_request: Request, exc: Exception) -> Response:
    return JSONResponse({"error": "unknown item", "item": exc.args[0]}, status_code=404)


async def on_out_of_stock(_request: Request, exc: Exception) -> Response:
    return JSONResponse({"error": "out of stock", "item": exc.args[0], "left": exc.args[1]}, status_code=409)


async def on_http_exception(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    return JSONResponse({"error": exc.detail.lower()}, status_code=exc.status_code, headers=exc.headers)


def create_app(inventory: Inventory, primes: Primes, crasher: Crasher) -> Starlette:
    """The application; called in the front's process, with references."""
    api = Api(inventory, primes, crasher)
    return Starlette(
        routes=[
            Route("/stock/{item}", api.stock),
            Route("/orders", api.order, methods=["POST"]),
            Route("/primes/{below}", api.primes),
            Route("/crash", api.crash, methods=["POST"]),
            Route("/crasher", api.crasher),
        ],
        middleware=[Middleware(AskErrors)],
        exception_handlers={
            UnknownItem: on_unknown_item,
            OutOfStock: on_out_of_stock,
            HTTPException: on_http_exception,
        },
    )
