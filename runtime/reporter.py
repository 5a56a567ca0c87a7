"""What the supervisor has to say: one log line for each event, with supervisor, child, restart type and reason.

To stderr, which is the owner's. UNDERSTUDY_LOG: "console" or "json" (unset: console for a terminal); UNDERSTUDY_LOG_LEVEL:
"info" tells starts and stops too, the default "warning" only deaths and what is wrong.
"""

import logging
import os
import sys
from typing import Any

import structlog

from actors.certificate import DeathCertificate
from runtime.supervision.action import Report

_QUIET = {"child_started", "child_terminated", "supervisor_started", "supervisor_terminated", "restart", "auto_shutdown"}


class Reporter:
    """The supervisor's log."""

    def __init__(self) -> None:
        style = os.environ.get("UNDERSTUDY_LOG") or ("console" if sys.stderr.isatty() else "json")
        render: Any = structlog.dev.ConsoleRenderer() if style == "console" else structlog.processors.JSONRenderer()
        level = logging.getLevelName(os.environ.get("UNDERSTUDY_LOG_LEVEL", "warning").upper())
        self._log = structlog.wrap_logger(
            structlog.PrintLogger(sys.stderr),
            processors=[structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso"), render],
            wrapper_class=structlog.make_filtering_bound_logger(level if isinstance(level, int) else logging.WARNING),
        )
        self._dead_letters: dict[str, int] = {}

    def report(self, report: Report) -> None:
        """What the decisions tell."""
        certificate = report.reason.certificate if report.reason is not None else None
        fields: dict[str, Any] = {
            "supervisor": report.supervisor or "(root)",
            "child": report.child,
            "restart": report.restart_type,
            "incarnation": report.incarnation,
        }
        if report.reason is not None:
            is_known = isinstance(certificate, DeathCertificate)
            fields["reason"] = certificate.reason if is_known else report.reason.kind
        name = report.kind.replace("_", " ")
        if report.kind in _QUIET:
            self._log.info(name, **fields)
        else:
            self._log.error(name, **fields)

    def died(self, certificate: DeathCertificate) -> None:
        """A process died that was not asked to."""
        self._log.warning("actor died", actor=certificate.actor, summary=certificate.summary())

    def dead_letter(self, path: str) -> None:
        """A message that nobody will handle."""
        count = self._dead_letters[path] = self._dead_letters.get(path, 0) + 1
        if count & (count - 1) == 0:  # 1, 2, 4, 8, …: a flood is a few lines
            self._log.warning("dead letters", actor=path, count=count)

    def mailbox_is_small(self, path: str, granted: int, wanted: int) -> None:
        """The kernel gave less than was asked for."""
        self._log.warning(
            "mailbox smaller than asked for: see fs.pipe-user-pages-soft", actor=path, granted=granted, wanted=wanted
        )

    def threads_at_import(self, path: str, module: str) -> None:
        """A class is imported in the actor's own process from now on."""
        self._log.warning("module starts threads when imported: its actors start slower", actor=path, module=module)

    def failed_inside(self, what: str) -> None:
        """A fault of our own."""
        self._log.exception(what)
