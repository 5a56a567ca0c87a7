"""Names, contexts, specifications: where references come from."""

# pyright: strict

from typing import assert_type

from actors import Actor, Backoff, Down, Letter, Mailbox, Timer, child, dynamic, message, tree
from actors.testing import Stage, StageSupervisor
from runtime import Supervisor, connect
from runtime.handle import Handle


class Clock(Actor):
    def __init__(self, seconds: float, *, zone: str = "utc") -> None:
        self.seconds = seconds

    def on_start(self) -> None:
        assert_type(self.context.after(self.seconds, self.tick, 1), Timer)
        assert_type(self.context.every(self.seconds, self.tick), Timer)
        assert_type(self.context.name, str)
        self.context.watch(self.context.ref_to("a.b"))

    def on_down(self, down: Down) -> None:
        assert_type(down.name, str)
        self.context.watch_letters()
        self.context.unwatch_letters()

    async def on_letter(self, letter: Letter) -> None:
        assert_type((letter.id, letter.actor, letter.when, letter.why), tuple[int, str, float, str])
        assert_type((letter.nbytes, letter.message, letter.asked, letter.attempt), tuple[int, str, bool, int])

    @message
    def tick(self, times: int = 1) -> int:
        return self.context.ref_to("other.clock", Clock).tick(times)

    @message
    def hand_over(self, other: "Clock") -> None:
        other.tick.tell()
        self.context.stop()


def use(supervisor: Supervisor) -> None:
    assert_type(supervisor.ref("a.b", Clock), Clock)
    assert_type(supervisor.ref("a.b", Clock).tick(), int)
    supervisor["a.b"].anything(1).whatever()
    assert_type(supervisor.supervisors["a"], Handle)
    assert_type(supervisor.supervisors["a"].ref("b", Clock), Clock)
    clock = child(Clock, 1.0, zone="cet").options(
        mailbox=Mailbox(size=4096, when_full="refuse"), on_raise="crash", replicas=4, understudies=1, significant=True
    )
    assert_type(supervisor.start(clock, name="clock"), Clock)
    assert_type(supervisor.start(tree(children={"clock": clock, "more": tree()}), name="nested"), Handle)
    pool = dynamic(clock, max_children=3, backoff=Backoff(first=0.5))
    assert_type(supervisor.start(pool, name="pool"), Handle)
    assert_type(supervisor.letters(), list[Letter])
    with connect("shop") as system:
        assert_type(system.ref("clock", Clock).tick(2), int)


def play() -> None:
    with Stage() as stage:
        assert_type(stage, Stage)
        clock = stage.start(child(Clock, 1.0), name="clock")
        assert_type(clock, Clock)
        assert_type(clock.tick(), int)
        assert_type(stage.ref("clock", Clock), Clock)
        assert_type(stage.start(tree(), name="tree"), StageSupervisor)
        stage.advance(1.0)
        stage.crash(clock, before="tick")
