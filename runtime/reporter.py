"""What the supervisor has to say: one log line for each event, with supervisor, child, restart type and reason.

To stderr, which is the owner's. UNDERSTUDY_LOG_LEVEL: "info" tells starts and stops too, the default "warning" only
deaths and what is wrong.
"""

import logging
import os
from typing import Any

from actors.certificate import DeathCertificate
from runtime.deaths import MOST_NAMES
from runtime.structured import line_logger
from runtime.supervision.action import Report

_QUIET = {
    "child_started",
    "child_terminated",
    "supervisor_started",
    "supervisor_terminated",
    "restart",
    "auto_shutdown",
}


class Counts:
    """How often something happened, by name; of the names it happened to longest ago, none."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def another(self, path: str) -> int:
        """Once more; returns how often by now, or 0 when that is not worth a line: of a flood 1, 2, 4, 8, … are."""
        count = self._counts[path] = self._counts.pop(path, 0) + 1
        if len(self._counts) > MOST_NAMES:
            del self._counts[next(iter(self._counts))]
        return 0 if count & (count - 1) else count


class Reporter:
    """The supervisor's log."""

    def __init__(self) -> None:
        level = logging.getLevelName(os.environ.get("UNDERSTUDY_LOG_LEVEL", "warning").upper())
        self._log = line_logger(level if isinstance(level, int) else logging.WARNING)
        self._dead_letters = Counts()
        self._lost_letters = Counts()
        self._lost_notices = Counts()

    def report(self, report: Report) -> None:
        """What the decisions tell."""
        fields: dict[str, Any] = {
            "supervisor": report.supervisor or "(root)",
            "child": report.child,
            "restart": report.restart_type,
            "incarnation": report.incarnation,
        }
        if report.reason is not None:
            certificate = report.reason.certificate
            fields["reason"] = certificate.reason if isinstance(certificate, DeathCertificate) else report.reason.kind
        name = report.kind.replace("_", " ")
        if report.kind in _QUIET:
            self._log.info(name, **fields)
        else:
            self._log.error(name, **fields)

    def died(self, certificate: DeathCertificate) -> None:
        """A process died that was not asked to."""
        fields = {"traceback": certificate.traceback, "native_stack": certificate.native_stack}
        told = {name: text for name, text in fields.items() if text}  # its own log lines have been printed already
        self._log.warning("actor died", actor=certificate.actor, summary=certificate.summary(), **told)

    def recycled(self, path: str, why: str) -> None:
        """An actor has used up one of its limits, and is restarted in order."""
        self._log.info("recycled", actor=path, reason=why)

    def dead_letter(self, path: str) -> None:
        """A message that nobody will handle."""
        if count := self._dead_letters.another(path):
            self._log.warning("dead letters", actor=path, count=count)

    def letter_lost(self, path: str) -> None:
        """A dead letter that was dropped for want of room."""
        if count := self._lost_letters.another(path):
            self._log.warning("dead letters dropped: there are too many", actor=path, count=count)

    def notice_lost(self, path: str) -> None:
        """An actor that watches does not take what it is told."""
        if count := self._lost_notices.another(path):
            self._log.warning("notices lost: it does not take them", actor=path, count=count)

    def slow_consumer(self, path: str, waiting_bytes: int, mailbox_bytes: int, waiting_seconds: float) -> None:
        """An actor does not keep up (runtime.backlog)."""
        self._log.warning(
            "slow consumer: its mailbox is nearly full, or what waits there waits long",
            actor=path,
            waiting_bytes=waiting_bytes,
            mailbox_bytes=mailbox_bytes,
            waiting_seconds=round(waiting_seconds, 1),
        )

    def caught_up(self, path: str) -> None:
        """It keeps up again."""
        self._log.info("slow consumer has caught up", actor=path)

    def mailbox_is_small(self, path: str, granted: int, wanted: int) -> None:
        """The kernel gave less than was asked for."""
        self._log.warning(
            "mailbox smaller than asked for: see fs.pipe-user-pages-soft", actor=path, granted=granted, wanted=wanted
        )

    def few_descriptors(self, count: int) -> None:
        """It may have so few that it will not hold many actors."""
        self._log.warning("few descriptors: an actor takes about five of the supervisor's, see ulimit -Hn", limit=count)

    def threads_at_import(self, path: str, module: str) -> None:
        """A class is imported in the actor's own process from now on."""
        self._log.warning("module starts threads when imported: its actors start slower", actor=path, module=module)

    def names_restored(self, root: str) -> None:
        """Somebody had removed the runtime directory."""
        self._log.warning(
            "the runtime directory was removed, and is made again: systemd does so when a user logs out (RemoveIPC)",
            directory=root,
            remedy="loginctl enable-linger, or UNDERSTUDY_DIR elsewhere",
        )

    def names_lost(self, root: str, why: str) -> None:
        """Somebody has removed the runtime directory, and it cannot be made again."""
        self._log.error("the runtime directory was removed; nobody new finds this system", directory=root, why=why)

    def failed_inside(self, what: str) -> None:
        """A fault of our own."""
        self._log.exception(what)
