"""What the supervisor answers on the control socket, and what it tells of its children, by schema."""

from typing import Any, Literal

import msgspec

from actors.certificate import DeathCertificate
from actors.child import Host

ChangeKind = Literal["removed", "added", "changed", "replaced", "flags"]


class ChildStatus(msgspec.Struct, frozen=True):
    """One child as `ps` shows it, read off its page.

    Attributes:
        path: dotted path.
        kind: "worker" or "supervisor".
        state: "starting", "running", "stopping", "restarting" or "stopped".
        pid: of its process; 0 when there is none.
        incarnation: of the current or last process.
        restarts: how often it was restarted.
        actor: its class, as a label.
        restart: its restart type.
        strategy: of a supervisor, else "".
        handled, failed, expired: messages so far.
        in_hand: name of the message being handled, "" when idle.
        in_hand_seconds: since when.
        queued_bytes: waiting in the mailbox; of a pool, in its queue.
        mailbox_bytes: its size; of a pool's queue, that of each of its three FIFOs.
        large_bytes: large payloads it holds: what it was sent and has not dropped.
        arena_bytes: memory that its process keeps for large payloads that it sends.
        host: "process", or "thread": one of several actors in the process of that pid.
        waiting_seconds: how long what waits there has waited, at least, as of the last look (every 2 s); 0.0: nothing.
        unsaved: commits that are not in its durable file; 0 without one.
        saves_failed: how often that could not be written.
        lost_lines: log lines that could not be written.
    """

    path: str
    kind: str
    state: str
    pid: int = 0
    incarnation: int = 0
    restarts: int = 0
    actor: str = ""
    restart: str = "permanent"
    strategy: str = ""
    handled: int = 0
    failed: int = 0
    expired: int = 0
    in_hand: str = ""
    in_hand_seconds: float = 0.0
    queued_bytes: int = 0
    mailbox_bytes: int = 0
    large_bytes: int = 0
    arena_bytes: int = 0
    host: Host = "process"
    waiting_seconds: float = 0.0
    unsaved: int = 0
    saves_failed: int = 0
    lost_lines: int = 0


class MemoryStatus(msgspec.Struct, frozen=True):
    """The shared memory of a system, in bytes.

    Attributes:
        limit: of all of it together (`memory`).
        used: of the limit.
        large: in memory for large payloads, in use or kept for the next.
        snapshots: in snapshots of actors' states.
        regions: of each region, by its name.
    """

    limit: int
    used: int
    large: int
    snapshots: int
    regions: dict[str, int]


class Change(msgspec.Struct, frozen=True):
    """What a reload did to one child or supervisor.

    Attributes:
        path: dotted; "" is the root supervisor.
        kind: what the new specification asked for.
        detail: of flags, which; else what is worth knowing.
        error: why it was not done, or its start failed; "" when it was done.
    """

    path: str
    kind: ChangeKind
    detail: str = ""
    error: str = ""


class Ending(msgspec.Struct, frozen=True):
    """How a system ended.

    Attributes:
        reason: "shutdown" (asked to, or by auto_shutdown), "gave up", or how its start failed.
        gave_up: it was not asked to.
        certificate: of the death that was too many, or of the significant child whose end was the system's.
    """

    reason: str
    gave_up: bool = False
    certificate: DeathCertificate | None = None


class Welcome(msgspec.Struct, frozen=True):
    """Answer to Hello."""

    system: str
    seat: int


class Opened(msgspec.Struct, frozen=True):
    """Answer to Open: the directory of a mailbox; of a pool those of its members and, behind them, of its queue.

    Attributes:
        directories: below the runtime directory; beside each comes the descriptor of its page.
        is_pool: it is one, with at least one member that is not closed.
    """

    directories: list[str]
    is_pool: bool = False


class Ok(msgspec.Struct, frozen=True, tag="ok"):
    """A request's answer; descriptors may come beside it."""

    value: Any = None
    fds: int = 0


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """A request's refusal: the name of an error in actors.errors and its arguments, plain."""

    error: str
    args: list[Any]
    certificate: DeathCertificate | None = None


Answer = Ok | Failed

decode_answer = msgspec.msgpack.Decoder(Answer).decode
