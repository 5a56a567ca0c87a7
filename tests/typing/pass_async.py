"""`async def` messages, and the async face of a supervisor."""

# pyright: strict

from collections.abc import Coroutine
from typing import Any, assert_type

from actors import Actor, Reply, Tree, child, deadline, message, tree
from runtime import Supervisor
from runtime.facade import AsyncHandle, AsyncSupervisor


class Fetcher(Actor):
    async def on_start(self) -> None: ...

    @message
    async def fetch(self, url: str, *, times: int = 1) -> bytes:
        return url.encode() * times

    @message(concurrent=True)
    async def probe(self, url: str) -> bool:
        return bool(await self.fetch(url))

    @message
    def count(self) -> int:
        return 0


async def main() -> None:
    async with Supervisor("shop") as supervisor:
        assert_type(supervisor, AsyncSupervisor)
        fetcher = await supervisor.start(child(Fetcher), name="fetcher", restart="transient")
        assert_type(fetcher, Fetcher)
        coroutine: Coroutine[Any, Any, bytes] = fetcher.fetch("a")
        assert_type(await coroutine, bytes)
        assert_type(await fetcher.fetch("a", times=2), bytes)
        assert_type(await fetcher.probe("a"), bool)
        assert_type(fetcher.fetch.ask("a"), Reply[bytes])
        assert_type(fetcher.probe.ask("a").result(), bool)
        with deadline(0.5):
            assert_type(await fetcher.count.ask(), int)
        fetcher.fetch.tell("a")
        await fetcher.fetch.send("a", times=3)
        assert_type(supervisor.ref("a.b", Fetcher), Fetcher)
        nested: Tree = tree(children={"fetcher": child(Fetcher)})
        assert_type(await supervisor.start(nested, name="nested"), AsyncHandle)
        await supervisor.stop("fetcher")
