"""Ends: what is told of a worker whose life is over, and to whom, in which order.

    it has ended ─▶ certificate ─▶ buried: askers told, payloads freed ─▶ Exited, for the next decision ─▶ died

EN-1  Whoever waits for an answer of the dead is told before anything is restarted.
EN-2  Those who are told of deaths in general (logs, watchers) come behind the restart.
"""

import asyncio
from collections.abc import Callable
from time import monotonic_ns

from actors.certificate import DeathCertificate
from runtime.mailbox import page
from runtime.process.exit import Exit
from runtime.process.oom import OomCounter
from runtime.supervision import event
from runtime.undertaker import Undertaker
from runtime.worker import FELLOW, Worker, certify, not_launched

Died = Callable[[DeathCertificate], None]


class Ends:
    """Certifies the dead, has them buried, and tells."""

    def __init__(self, undertaker: Undertaker, happened: Callable[[event.Event], None], died: Died) -> None:
        """Tell of ends.

        Args:
            happened: what decisions are made on.
            died: told of every death that nobody ordered.
        """
        self._undertaker = undertaker
        self._happened = happened
        self._died = died
        self._oom = OomCounter()

    def process(self, worker: Worker, ended: Exit) -> None:
        """Its process has been reaped."""
        self._end(worker, ended, oom=self._was_oom(ended) if not worker.cause else False)

    def thread(self, worker: Worker, ended: Exit) -> None:
        """Its thread has ended, and the process lives on."""
        self._end(worker, ended)

    def host(self, workers: list[Worker], pid: int, ended: Exit, stacks: str, together: int) -> None:
        """The process of all these threads has been reaped: their deaths cost their supervisor one restart."""
        condemned = any(worker.is_condemned for worker in workers)
        oom = not condemned and self._was_oom(ended)
        kept: set[int] = set()
        certificates: list[DeathCertificate] = []
        for worker in workers:
            if condemned and not worker.is_condemned:
                worker.cause = FELLOW
            certificates.append(certify(worker, ended, monotonic_ns(), oom=oom, stacks=stacks))
            worker.certificate = certificates[-1]
            kept |= self._undertaker.bury(worker, certificates[-1])  # EN-1
        self._undertaker.free([pid], kept)
        for worker, certificate in zip(workers, certificates, strict=True):
            self._tell(worker, ended, certificate, together)

    def start(self, worker: Worker, error: str, together: int = 0, stacks: str = "") -> None:
        """It has never had a process, or nobody could have been told of that."""
        if worker.is_called_off:  # whatever it waited for
            error, stacks = "it was stopped before it had a process", ""
        certificate = worker.certificate = not_launched(worker, error, stacks)
        worker.gone()
        self._died(certificate)
        self._happened(event.StartFailed(worker.path, worker.incarnation, event.Reason("crash", certificate, together)))

    def _was_oom(self, ended: Exit) -> bool:
        return ended.signal == "SIGKILL" and self._oom.has_grown()

    def _end(self, worker: Worker, ended: Exit, *, oom: bool = False) -> None:
        worker.certificate = certify(worker, ended, monotonic_ns(), oom=oom)
        self._undertaker.free([worker.holder], self._undertaker.bury(worker, worker.certificate))  # EN-1
        self._tell(worker, ended, worker.certificate)

    def _tell(self, worker: Worker, ended: Exit, certificate: DeathCertificate, together: int = 0) -> None:
        kind = _kind(worker, ended)
        is_ordered = kind in ("normal", "shutdown", "recycled") or (kind == "killed" and worker.is_killed)
        is_ignored = worker.is_ignored and kind == "normal"
        worker.gone()
        if is_ignored:
            self._happened(event.Ignored(worker.path, worker.incarnation))
            return
        self._happened(event.Exited(worker.path, worker.incarnation, event.Reason(kind, certificate, together)))
        if not is_ordered:
            asyncio.get_running_loop().call_soon(self._died, certificate)  # EN-2


def _kind(worker: Worker, ended: Exit) -> str:
    """OTP's word for an end: asked to stop and clean is "shutdown", clean is "normal", the rest is not.

    "recycled" is ours: it has used up a limit, or its state could not be committed, and it ended in order to be started
    again.
    """
    if ended.signal:
        return "killed"
    if ended.code:
        return "crash"
    if worker.is_asked:
        return "shutdown"
    is_uncommitted = worker.box is not None and worker.box.words[page.UNCOMMITTED]
    return "recycled" if worker.is_recycled or is_uncommitted else "normal"
