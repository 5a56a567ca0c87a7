"""The death certificate: everything that is known of one death, in one object.

The supervisor writes it once per death. Callers (`ActorDied.certificate`), watchers (`on_down`), logs and the
command line show the same object; `summary()` is the one line, `report()` the whole page: both are for people, and
`printable`; the fields are what the actor said.
"""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from actors.printable import printable

_KILLED_FOR = {
    "watchdog": "watchdog: a message was in hand for too long",
    "heartbeat": "heartbeat: its event loop was blocked for too long",
    "start timeout": "start timeout",
    "fellow": "its process was killed because of another actor in it",
}


@dataclass(frozen=True, slots=True)
class MessageInHand:
    """The message an actor was handling when it died.

    Attributes:
        name: the message's name; "" when it had not been decoded yet.
        attempt: 1 for the first delivery.
        age_seconds: how long it had been in hand.
    """

    name: str
    attempt: int
    age_seconds: float


@dataclass(frozen=True, slots=True)
class DeathCertificate:
    """What is known of the death of one incarnation of one actor.

    Attributes:
        actor: dotted path of the actor.
        incarnation: 1 for the first process of that name.
        pid: of the dead process; 0 when none was started.
        phase: "start" when it never became ready, "run" after that, "stop" while it was asked to stop.
        cause: one of `exit`, `signal`, `exception`, `launch` (the process could not be started); of a process that was
            killed for it, `watchdog` (a message was in hand too long), `heartbeat` (its event loop was blocked) or
            `start timeout`; `fellow`: it was a thread, and its process was killed because of another actor in it.
        exit_code: of a process that exited, else None.
        signal: name of the signal that ended it ("SIGKILL"), else "".
        traceback: of the Python exception that ended it, formatted, else "".
        native_stack: of all threads, the innermost call first, as faulthandler wrote it at a fatal signal or before it
            was killed for its cause; before it, of an asyncio actor, the tasks; else "".
        oom: True when the kernel's out-of-memory killer may have done it.
        in_hand: the message being handled, if any.
        log_lines: the last lines the actor logged or wrote to `sys.stderr`, oldest first.
        restarts: how often this name had been restarted before.
        host: "process" when it had the process of that pid to itself, "thread" when it was one of several actors in it.
    """

    actor: str
    incarnation: int
    pid: int
    phase: str
    cause: str
    exit_code: int | None = None
    signal: str = ""
    traceback: str = ""
    native_stack: str = ""
    oom: bool = False
    in_hand: MessageInHand | None = None
    log_lines: tuple[str, ...] = ()
    restarts: int = 0
    host: str = "process"

    @property
    def reason(self) -> str:
        """The cause in a few words: "SIGKILL", "exit code 3", "ValueError: no such tea", "watchdog: …"."""
        if self.cause in _KILLED_FOR:
            return _KILLED_FOR[self.cause]
        if self.traceback:
            return self.traceback.strip().splitlines()[-1]
        if self.signal:
            late = "not ready in time: " if self.cause == "start timeout" else ""
            return f"{late}{self.signal}{' (perhaps out of memory)' if self.oom else ''}"
        if self.exit_code is not None:
            return f"exit code {self.exit_code}"
        return self.cause

    def summary(self) -> str:
        """One line: who, which incarnation, why, and what was in hand."""
        hand = ""
        if self.in_hand is not None:
            name = self.in_hand.name or "a message"
            hand = f" while handling {name} for {self.in_hand.age_seconds:.3f} s (attempt {self.in_hand.attempt})"
        phase = {"start": " while starting", "stop": " while stopping"}.get(self.phase, "")
        pid = f"thread of pid {self.pid}" if self.host == "thread" else f"pid {self.pid}"
        return printable(f"{self.actor} #{self.incarnation} ({pid}) died{phase}: {self.reason}{hand}")

    def report(self) -> str:
        """The whole certificate as text, several lines."""
        parts = [self.summary(), f"restarts before: {self.restarts}"]
        if self.traceback:
            parts += ["traceback:", self.traceback.rstrip()]
        if self.native_stack:
            parts += ["stacks:", self.native_stack.rstrip()]
        if self.log_lines:
            parts += ["last log lines:", *self.log_lines]
        return printable("\n".join(parts))

    def trimmed(self, nbytes: int) -> Self:
        """The same certificate with its texts cut to about nbytes in all; the innermost calls are kept."""
        share = nbytes // max(1, sum(map(bool, (self.traceback, self.native_stack, self.log_lines))))
        lines: list[str] = []
        room = share
        for line in reversed(self.log_lines):
            room -= len(line.encode(errors="replace"))
            if room < 0:
                break
            lines.insert(0, line)
        return replace(
            self,
            traceback=_tail(self.traceback, share),
            native_stack=_head(self.native_stack, share),
            log_lines=tuple(lines),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for msgpack and JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """The certificate that `to_dict` gave away; unknown keys are ignored."""
        known = {field.name for field in fields(cls)}
        values = {key: value for key, value in plain.items() if key in known}
        if values.get("in_hand") is not None:
            values["in_hand"] = MessageInHand(**values["in_hand"])
        values["log_lines"] = tuple(values.get("log_lines", ()))
        return cls(**values)


def _head(text: str, nbytes: int) -> str:
    raw = text.encode(errors="replace")
    return text if len(raw) <= nbytes else raw[:nbytes].decode(errors="ignore") + "…"


def _tail(text: str, nbytes: int) -> str:
    raw = text.encode(errors="replace")
    return text if len(raw) <= nbytes else "…" + raw[-nbytes:].decode(errors="ignore")
