"""Thespian: an actor in a process of its own, asked over TCP, its default base for several processes.

Source: https://thespianpy.com/doc/using.html. A dead actor is reported to its parent, which may create another; the address
of the dead one stays dead.
"""

from thespian.actors import Actor, ActorExitRequest, ActorSystem

from tests.bench.field.measured import Measured, p50


class Tally(Actor):
    """Counts."""

    total = 0

    def receiveMessage(self, message: object, sender: object) -> None:  # Thespian's name
        """The small message."""
        if isinstance(message, int):
            self.total += message
            self.send(sender, self.total)


def measure(asks: int, kills: int) -> Measured:
    """One actor of a multi-process system."""
    del kills
    system = ActorSystem("multiprocTCPBase", logDefs={"version": 1})
    try:
        tally = system.createActor(Tally)
        ask = p50(lambda: system.ask(tally, 1, 5), asks)
        system.tell(tally, ActorExitRequest())
    finally:
        system.shutdown()
    return {"ask_us": ask, "recover_ms": []}
