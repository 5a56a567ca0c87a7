"""The control socket's messages: msgpack with a schema, never pickle.

A message is a u32 length (little-endian) and that many bytes, at most LIMIT; descriptors travel with it as SCM_RIGHTS.
What is opaque to the supervisor (constructor arguments, definitions) is in no message: it comes as a memfd beside it.

CT-1  Whatever does not fit the schema or the limit closes the connection; nothing of it is acted upon.
"""

import array
import contextlib
import os
import socket
from collections import deque
from typing import Annotated, Any, Literal

import msgspec

from actors.certificate import DeathCertificate
from actors.child import AutoShutdown, Backoff, Drain, Durable, Host, Limits, Mailbox, RestartType, Shutdown

ChangeKind = Literal["removed", "added", "changed", "replaced", "flags"]

LIMIT = 1 << 20
_MAX_FDS = 253  # SCM_MAX_FD, linux/net/scm.h


class Protocol(Exception):  # an event of the connection, never shown to a user
    """The peer sent what is no message (CT-1)."""


class Worker(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="worker"):
    """A child specification as it crosses the socket.

    Attributes:
        payload: an index into the descriptors beside it.
        digest: of what is in there.
    """

    name: str
    actor: str  # label for people: "shop.inventory:Inventory"
    payload: int
    digest: bytes
    restart: RestartType
    shutdown: Shutdown
    ready: float
    mailbox: Mailbox
    crash_on_raise: bool | None
    replicas: Annotated[int, msgspec.Meta(ge=1, le=1024)]
    significant: bool
    drain: Drain
    understudies: int
    watchdog: float | None = None
    heartbeat: float | None = None
    limits: Limits | None = None
    host: Host = "process"
    has_snapshots: bool = False
    snapshot_every: int = 1
    durable: Durable | None = None


class Subtree(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="tree"):
    """A supervisor specification as it crosses the socket."""

    name: str
    strategy: Literal["one_for_one", "one_for_all", "rest_for_one", "dynamic"]
    max_restarts: int
    max_seconds: float
    backoff: Backoff | None
    auto_shutdown: AutoShutdown
    restart: RestartType
    shutdown: Shutdown
    significant: bool
    children: "list[Worker | Subtree]"
    template: Worker | None = None
    max_children: int | None = None


class _Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Hello(_Request, frozen=True, tag="hello"):
    """First message of every connection: takes a seat on the board. Answer: Welcome + board memfd."""

    pid: int


class Boot(_Request, frozen=True, tag="boot"):
    """Start the tree; the owner's first request. Descriptors: the payloads."""

    tree: Subtree
    path: list[str]
    argv: list[str]


class Open(_Request, frozen=True, tag="open"):
    """A mailbox's memory. Answer: Opened + page memfds, one for each process behind the name."""

    path: str


class OpenReplies(_Request, frozen=True, tag="replies"):
    """Make a reply FIFO of that size, held while this connection lives. Answer: its number."""

    nbytes: int


class Start(_Request, frozen=True, tag="start"):
    """Start a child under a supervisor. Answer: its path. Descriptors: the payload."""

    supervisor: str
    child: Worker | Subtree
    starting: str = ""  # path of the actor that asks while it is starting itself


class StartInstance(_Request, frozen=True, tag="instance"):
    """Start an instance of a dynamic supervisor's template as it stands. Answer: its path."""

    supervisor: str
    name: str
    starting: str = ""


class Stop(_Request, frozen=True, tag="stop"):
    """Stop a child (its specification stays), or the whole system: path "". Answer when it is reaped."""

    path: str
    starting: str = ""


class Restart(_Request, frozen=True, tag="restart"):
    """Stop a child if it runs, and start it again; with `code`, on freshly imported code."""

    path: str
    starting: str = ""
    code: bool = False


class Reload(_Request, frozen=True, tag="reload"):
    """Turn a supervisor into what `tree` says. Answer: list of Change. Descriptors: the payloads.

    `front`: directories for the front of the actors' sys.path.
    """

    path: str
    tree: Subtree
    front: list[str]
    starting: str = ""


class Delete(_Request, frozen=True, tag="delete"):
    """Delete a stopped child's specification."""

    path: str


class Status(_Request, frozen=True, tag="status"):
    """The children below a supervisor, depth first when `deep`. Answer: list of ChildStatus."""

    path: str
    deep: bool


class Count(_Request, frozen=True, tag="count"):
    """How many children a supervisor has. Answer: specs, active, supervisors, workers."""

    path: str


class Wait(_Request, frozen=True, tag="wait"):
    """Answered with an Ending when the system ends."""


class KillAll(_Request, frozen=True, tag="kill"):
    """End everything at once; not answered."""


class Watch(_Request, frozen=True, tag="watch"):
    """Tell `watcher` (an actor's path) when the actor at path dies or stops."""

    path: str
    watcher: str
    on: bool


class Why(_Request, frozen=True, tag="why"):
    """The last death of an actor, or below a supervisor. Answer: a certificate, or None."""

    path: str


class WatchLetters(_Request, frozen=True, tag="watch-letters"):
    """Tell `watcher` (an actor's path) of every dead letter."""

    watcher: str
    on: bool


class KeepLetter(_Request, frozen=True, tag="keep"):
    """An actor has a message that it cannot decode."""

    path: str
    frame: Annotated[bytes, msgspec.Meta(max_length=4096)]
    why: str


class ListLetters(_Request, frozen=True, tag="letters"):
    """The dead letters of an actor, or below a supervisor. Answer: list of Letter, oldest first."""

    path: str


class ResendLetter(_Request, frozen=True, tag="resend"):
    """Send a dead letter again, to its actor."""

    id: int


class DropLetter(_Request, frozen=True, tag="drop"):
    """Forget a dead letter."""

    id: int


class MakeSlab(_Request, frozen=True, tag="slab"):
    """Memory for large payloads, of the whole system's allowance; kept for this session. Answer: number + memfd."""

    nbytes: int


class OpenSlab(_Request, frozen=True, tag="open-slab"):
    """The memory of a large payload. Answer: memfd, or none when its message has ended."""

    number: int


class FreeSlab(_Request, frozen=True, tag="free-slab"):
    """Its owner has no use for it any more."""

    number: int


class GrowSnapshots(_Request, frozen=True, tag="snapshots"):
    """More memory for an actor's snapshots, with slots of so many bytes. Answer: memfd."""

    path: str
    nbytes: int


class MakeRegion(_Request, frozen=True, tag="region"):
    """A region, made if there is none of that name. `layout` is its shape's description. Answer: memfd."""

    name: str
    layout: str
    writers: Literal["one", "many"] | None = None


class OpenRegion(_Request, frozen=True, tag="open-region"):
    """The region of that name. Answer: memfd."""

    name: str


class Memory(_Request, frozen=True, tag="memory"):
    """The shared memory of the system. Answer: MemoryStatus."""


class Define(_Request, frozen=True, tag="define"):
    """Store a definition that goes by value; memfd beside it. Answer: its number, the old one of a known key."""

    key: str


class Definition(_Request, frozen=True, tag="definition"):
    """A stored definition. Answer: memfd."""

    number: int


Request = (
    Hello
    | Boot
    | Open
    | OpenReplies
    | Start
    | StartInstance
    | Stop
    | Restart
    | Reload
    | Delete
    | Status
    | Count
    | Wait
    | KillAll
    | Watch
    | WatchLetters
    | Why
    | KeepLetter
    | ListLetters
    | ResendLetter
    | DropLetter
    | MakeSlab
    | OpenSlab
    | FreeSlab
    | MakeRegion
    | OpenRegion
    | GrowSnapshots
    | Memory
    | Define
    | Definition
)


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
        queued_bytes: waiting in the mailbox.
        mailbox_bytes: its size.
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
        reason: "shutdown" (asked to), "gave up", "auto_shutdown", "start failed".
        gave_up: it was not asked to.
        certificate: of the death that was too many, if there was one.
    """

    reason: str
    gave_up: bool = False
    certificate: DeathCertificate | None = None


class Welcome(msgspec.Struct, frozen=True):
    """Answer to Hello."""

    system: str
    seat: int


class Opened(msgspec.Struct, frozen=True):
    """Answer to Open: a mailbox directory and `when_full` for each process behind the name."""

    members: list[str]
    refuse: bool


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

encode = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(Request).decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode


class Channel:
    """Framing of one connection: bytes and descriptors in, whole messages out. Owns the socket.

    Descriptors that were received and not taken are closed with it.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._inbox = bytearray()
        self._fds: deque[int] = deque()
        self._outbox: deque[tuple[bytes, list[int]]] = deque()
        self._is_cut = False

    def feed(self, most: int = 1 << 16) -> bool:
        """Receive once; False at end of file. Blocks or raises BlockingIOError as the socket is set."""
        space = socket.CMSG_SPACE(_MAX_FDS * array.array("i").itemsize)
        part, ancillary, flags, _ = self.sock.recvmsg(most, space, socket.MSG_CMSG_CLOEXEC)
        self._is_cut |= bool(flags & socket.MSG_CTRUNC)
        for level, kind, raw in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                received = array.array("i")
                received.frombytes(raw[: len(raw) - len(raw) % received.itemsize])
                self._fds.extend(received)
        self._inbox += part
        return bool(part)

    def take(self) -> bytes | None:
        """The next whole message's body, or None.

        Raises:
            Protocol: a length over LIMIT.
        """
        if len(self._inbox) < 4:
            return None
        size = int.from_bytes(self._inbox[:4], "little")
        if size > LIMIT:
            raise Protocol(f"message of {size} bytes, expected at most {LIMIT}")
        if len(self._inbox) < 4 + size:
            return None
        body = bytes(self._inbox[4 : 4 + size])
        del self._inbox[: 4 + size]
        return body

    def take_fds(self, count: int | None = None) -> list[int]:
        """Descriptors received with the messages taken so far; the caller owns them now. None: all of them."""
        wanted = len(self._fds) if count is None else count
        if wanted > len(self._fds):
            raise Protocol(f"expected {wanted} descriptors, got {len(self._fds)}")
        return [self._fds.popleft() for _ in range(wanted)]

    def take_cut(self) -> bool:
        """Whether descriptors were lost since this was asked last: this process had no room for them."""
        is_cut, self._is_cut = self._is_cut, False
        return is_cut

    def put(self, body: bytes, fds: list[int] | None = None) -> None:
        """Queue a message; `flush` sends it. The descriptors are duplicated now: the caller's stay the caller's.

        Raises:
            Protocol: it is longer than LIMIT.
            OSError: there are no descriptors for the duplicates; nothing is queued.
        """
        if len(body) > LIMIT:
            raise Protocol(f"message of {len(body)} bytes, expected at most {LIMIT}")
        with contextlib.ExitStack() as undo:
            copies: list[int] = []
            for fd in fds or ():
                copies.append(os.dup(fd))
                undo.callback(os.close, copies[-1])
            undo.pop_all()
        self._outbox.append((len(body).to_bytes(4, "little") + body, copies))

    def flush(self) -> bool:
        """Send what is queued; True when nothing is left. Blocks, or returns False, as the socket is set."""
        while self._outbox:
            raw, fds = self._outbox[0]
            batch, rest = fds[:_MAX_FDS], fds[_MAX_FDS:]
            chunk = raw[:1] if rest else raw
            try:
                sent = socket.send_fds(self.sock, [chunk], batch) if batch else self.sock.send(chunk)
            except BlockingIOError:
                return False
            for fd in batch:
                os.close(fd)
            if rest or sent < len(raw):
                self._outbox[0] = (raw[sent:], rest)
            else:
                self._outbox.popleft()
        return True

    def has_output(self) -> bool:
        """Something waits to be flushed."""
        return bool(self._outbox)

    def close(self) -> None:
        """Close the socket and every descriptor that nobody took."""
        for fd in (*self._fds, *(fd for _, fds in self._outbox for fd in fds)):
            os.close(fd)
        self._fds.clear()
        self._outbox.clear()
        self.sock.close()
