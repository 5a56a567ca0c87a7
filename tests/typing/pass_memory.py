"""Memory: lent arrays, messages that own what they get, what a system has."""

# pyright: strict

from typing import Any, assert_type

from actors import Actor, child, message
from actors.testing import Stage
from runtime import MemoryStatus, Supervisor, connect


class Album(Actor):
    @message(copy=True)
    def keep(self, image: memoryview, name: str = "") -> int:
        assert_type(self.context.empty(10), Any)
        return len(image)


with Supervisor(memory=2 << 30) as supervisor:
    album = supervisor.start(child(Album), name="album")
    assert_type(album.keep(supervisor.empty((10, 10), "f8"), name="one"), int)
    assert_type(supervisor.memory(), MemoryStatus)
    assert_type(supervisor.memory().regions, dict[str, int])

with connect("shop") as client:
    assert_type(client.empty(10, dtype="u2"), Any)

with Stage() as stage:
    assert_type(stage.empty(10), Any)


async def main() -> None:
    async with Supervisor() as running:
        assert_type(await running.empty((1, 2)), Any)
        assert_type(await running.memory(), MemoryStatus)
