"""What must not type-check. Each marked line is an error of these kinds, and no other line is."""

# pyright: strict

from typing import assert_type

from actors import Actor, Reply, child, message
from runtime import Supervisor


class Counter(Actor):
    def __init__(self, start: int, *, step: int = 1) -> None:
        self.value = start

    @message
    def add(self, n: int) -> int:
        return n

    @message
    def label(self, prefix: str = "", *, upper: bool = False) -> str:
        return prefix

    @message
    async def load(self, n: int) -> bytes:
        return bytes(n)

    @message(retry="often")  # E: mypy[call-overload,untyped-decorator] pyright[reportArgumentType]
    def often(self) -> None: ...


message(by=3)  # E: mypy[call-overload] pyright[reportCallIssue]


def construct(supervisor: Supervisor) -> None:
    child(Counter)  # E: mypy[call-arg] pyright[reportCallIssue]
    child(Counter, "ten")  # E: mypy[arg-type] pyright[reportArgumentType]
    child(Counter, 10, 20)  # E: mypy[call-arg] pyright[reportCallIssue]
    child(Counter, 10, stop=20)  # E: mypy[call-arg] pyright[reportCallIssue]
    child(Counter, 10).options(restart="always")  # E: mypy[arg-type] pyright[reportArgumentType]
    child(Counter, 10).options(host="cloud")  # E: mypy[arg-type] pyright[reportArgumentType]
    child(Counter, 10).options(replica=2)  # E: mypy[call-arg] pyright[reportCallIssue]
    supervisor.start(child(Counter, 10))  # E: mypy[call-overload] pyright[reportCallIssue]
    supervisor.start(child(Counter, 10), name="a", ready="5s")  # E: mypy[call-overload] pyright[reportArgumentType]
    supervisor.start(Counter, name="a")  # E: mypy[call-overload] pyright[reportArgumentType,reportCallIssue]
    other: str = supervisor.start(child(Counter, 10), name="a")  # E: mypy[assignment] pyright[reportAssignmentType]
    del other


def speak(counter: Counter) -> None:
    counter.add("one")  # E: mypy[arg-type] pyright[reportArgumentType]
    counter.add()  # E: mypy[call-arg] pyright[reportCallIssue]
    counter.add(1, 2)  # E: mypy[call-arg] pyright[reportCallIssue]
    counter.add(m=1)  # E: mypy[call-arg] pyright[reportCallIssue]
    counter.add.ask("one")  # E: mypy[arg-type] pyright[reportArgumentType]
    counter.add.tell("one")  # E: mypy[arg-type] pyright[reportArgumentType]
    counter.add.tell()  # E: mypy[call-arg] pyright[reportCallIssue]
    counter.add.send("one")  # E: mypy[arg-type] pyright[reportArgumentType]
    counter.label("a", True)  # E: mypy[call-arg] pyright[reportCallIssue]
    counter.subtract(1)  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue,reportUnknownMemberType]
    counter.add.shout(1)  # E: mypy[attr-defined] pyright[reportAttributeAccessIssue,reportUnknownMemberType]
    counter.add = 1  # E: mypy[assignment] pyright[reportAttributeAccessIssue]
    result: int = counter.add.tell(1)  # E: mypy[assignment,func-returns-value] pyright[reportAssignmentType]
    text: str = counter.add(1)  # E: mypy[assignment] pyright[reportAssignmentType]
    size: int = counter.add.ask(1)  # E: mypy[assignment] pyright[reportAssignmentType]
    data: bytes = counter.load(1)  # E: mypy[assignment] pyright[reportAssignmentType]
    assert_type(counter.load.ask(1), Reply[int])  # E: mypy[assert-type] pyright[reportAssertTypeFailure]
    del result, text, size, data


async def listen(counter: Counter) -> None:
    await counter.add(1)  # E: mypy[misc] pyright[reportGeneralTypeIssues]
    await counter.load("one")  # E: mypy[arg-type] pyright[reportArgumentType]
    number: int = await counter.load(1)  # E: mypy[assignment] pyright[reportAssignmentType]
    del number


class Louder(Counter):
    @message
    def add(self, n: str) -> int:  # E: mypy[override] pyright[reportIncompatibleVariableOverride]
        return len(n)
