"""Launches for which there is no zygote for a while."""

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from runtime.process import launch
from runtime.process.exit import Exit
from runtime.process.launch import Launcher
from runtime.process.order import Gather


class Told:
    """Writes down what comes of launches, by the names of `outcome.Outcome`."""

    def __init__(self) -> None:
        self.all: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: self.all.append((name, *args))

    def taken(self) -> list[tuple[Any, ...]]:
        taken, self.all = self.all, []
        return taken


def _order(token: int) -> Gather:
    return Gather(token, "", "test", "/nowhere", 0, 1)


def test_who_waits_for_a_zygote_waits_for_nobody_else_until_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(_wait_for_a_zygote(monkeypatch))


async def _wait_for_a_zygote(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()
    theirs: list[socket.socket] = []

    def zygote(*_args: object) -> tuple[int, socket.socket, int]:
        ours, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        theirs.append(other)
        return os.getpid(), ours, os.memfd_create("stacks")

    def no_zygote(*_args: object) -> None:
        raise OSError(errno.EMFILE, "")

    monkeypatch.setattr(launch, "fork_zygote", zygote)
    launcher = Launcher(told, None, set())  # type: ignore[arg-type]  # nobody plays
    launcher.open()
    for token in (1, 2):
        launcher.launch(_order(token), [])
    assert told.taken() == [("zygote_forked", os.getpid()), ("queued", 2)]

    monkeypatch.setattr(launch, "fork_zygote", no_zygote)
    theirs.pop().close()
    launcher.died(Exit(None, "SIGKILL"))
    for token in (3, 4):
        launcher.launch(_order(token), [])
    launcher.cancel(3)
    assert told.taken() == [
        ("zygote_gone", [1, 2]),
        ("begun", 1),
        ("begun", 2),
        ("failed", 3, "no zygote to start it: Too many open files"),
    ]

    monkeypatch.setattr(launch, "fork_zygote", zygote)
    async with asyncio.timeout(10):
        while not told.all:
            await asyncio.sleep(0.01)
    assert told.taken() == [("zygote_forked", os.getpid()), ("begun", 1), ("queued", 2), ("queued", 4)]
    launcher.shut()
    theirs.pop().close()
