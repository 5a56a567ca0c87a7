"""The first page: a plain actor, its reference, its three ways to be spoken to."""

# pyright: strict

from typing import assert_type

from actors import Actor, Reply, child, message
from actors.child import Child
from runtime import Supervisor


class Counter(Actor):
    def __init__(self, start: int = 0) -> None:
        self.value = start

    @message
    def add(self, n: int) -> int:
        self.value += n
        return self.value

    @message
    def label(self, prefix: str = "", *, upper: bool = False) -> str:
        text = f"{prefix}{self.add(1)}"
        return text.upper() if upper else text

    @message(retry=3, urgent=True, watchdog=30.0)
    def reset(self) -> None:
        self.value = 0

    def plain(self) -> int:
        return self.add(1) + self.value


def start(supervisor: Supervisor) -> None:
    assert_type(child(Counter, 10), Child[Counter])
    assert_type(child(Counter), Child[Counter])
    assert_type(child(Counter, start=10).options(restart="transient", shutdown="kill"), Child[Counter])
    assert_type(child(Counter).options(host="thread"), Child[Counter])
    assert_type(supervisor.start(child(Counter), name="thread", host="thread"), Counter)
    counter = supervisor.start(child(Counter, 10), name="counter", restart="permanent", ready=2.0, drain="discard")
    assert_type(counter, Counter)
    use(counter)


def use(counter: Counter) -> None:
    assert_type(counter.add(1), int)
    assert_type(counter.add(n=1), int)
    assert_type(counter.add.ask(1), Reply[int])
    assert_type(counter.add.ask(1).result(timeout=1.0), int)
    counter.add.tell(1)
    assert_type(counter.label(), str)
    assert_type(counter.label("a", upper=True), str)
    assert_type(counter.label.ask(upper=True), Reply[str])
    counter.label.tell(prefix="a")
    counter.reset()
    assert_type(counter.reset.ask(), Reply[None])
    assert_type(counter.add.name, str)


async def use_in_a_loop(counter: Counter) -> None:
    assert_type(await counter.add.ask(1), int)
    await counter.add.send(1)
    assert_type(await counter.reset.ask(), None)
