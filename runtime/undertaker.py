"""The undertaker: what becomes of an actor's messages when it dies, and when its mailbox is closed for good.

    a death ─▶ journal ─▶ started, no retry left: its asker is told, a dead letter      all else stays for the next one
    closed  ─▶ journal and FIFO ─▶ all of it: askers told, dead letters

UN-1  Whoever waits for an answer of the dead is told before anything is restarted.
UN-2  What the dead held of large payloads is free, but for messages that will be run again and dead letters.
"""

from collections.abc import Iterable
from functools import partial
from time import monotonic_ns

from actors.certificate import DeathCertificate
from runtime.callers import Callers
from runtime.letters import Letters
from runtime.mailbox import page
from runtime.mailbox.box import Box
from runtime.mailbox.poolqueue import PoolQueue
from runtime.vault import Vault
from runtime.wire.frame import Header
from runtime.worker import Worker, message_name


class Undertaker:
    """Ends messages in the name of actors that cannot."""

    def __init__(self, callers: Callers, vault: Vault, letters: Letters) -> None:
        self._callers = callers
        self._vault = vault
        self._letters = letters

    def bury(self, worker: Worker, certificate: DeathCertificate) -> set[int]:
        """After a death (UN-1); returns the large payloads that its mailbox still needs."""
        if worker.box is None:
            return set()
        worker.box.set_life(page.RESTARTING)
        return worker.box.bury(partial(self._died_with, worker, certificate), self._callers.send)

    def free(self, holders: Iterable[int], kept: set[int]) -> None:
        """Free what holders of large payloads, processes or threads, held (UN-2)."""
        kept = kept | self._letters.bodies()
        for holder in holders:
            self._vault.receiver_gone(holder, kept)

    def close(self, worker: Worker, box: Box) -> None:
        """Nothing will restart it: end its mailbox, and every message in it."""
        box.close(partial(self._left_over, worker, box.message_names()))

    def close_queue(self, pool: str, queue: PoolQueue) -> None:
        """As `close`, of the queue of a pool: no member will begin what is left in it."""

        def left_over(header: Header, raw: bytes, _started: bool) -> None:
            if header.is_ask:
                self._callers.tell_stopped(header, "stopped for good")
            self._letters.keep(pool, header, raw, why="its actor stopped for good", message="", now_ns=monotonic_ns())

        queue.close(left_over)

    def _died_with(self, worker: Worker, certificate: DeathCertificate, header: Header, raw: bytes, _: bool) -> None:
        """A message that was in hand at a death, and may not be run again: its asker is told; it is a dead letter."""
        if header.is_ask:
            self._callers.tell_death(header, certificate, "started")
        name = message_name(worker.box, header.index) if worker.box is not None else ""
        why = f"its actor died of it (attempt {header.state}): {certificate.reason}"
        self._letters.keep(worker.path, header, raw, why=why, message=name, now_ns=monotonic_ns())

    def _left_over(self, worker: Worker, names: list[str], header: Header, raw: bytes, started: bool) -> None:
        """A message of a mailbox that is closed: its asker is told; it is a dead letter."""
        if header.is_ask and started and worker.certificate is not None:
            self._callers.tell_death(header, worker.certificate, "started")
        elif header.is_ask:
            self._callers.tell_stopped(header, "stopped for good")
        name = names[header.index - 1] if 0 < header.index <= len(names) else ""
        why = "its actor stopped for good" + (" while it was in hand" if started else "")
        self._letters.keep(worker.path, header, raw, why=why, message=name, now_ns=monotonic_ns())
