"""What the control socket is asked: msgpack with a schema, never pickle. The framing is in `wire.stream`."""

from typing import Annotated, Literal

import msgspec

from actors.child import AutoShutdown, Backoff, Drain, Durable, Host, Limits, Mailbox, RestartType, Shutdown

Nbytes = Annotated[int, msgspec.Meta(ge=1, le=1 << 47)]  # an address space


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
    path: list[bytes]
    argv: list[bytes]


class Open(_Request, frozen=True, tag="open"):
    """A mailbox's memory. Answer: Opened + page memfds, one for each process behind the name."""

    path: str


class OpenReplies(_Request, frozen=True, tag="replies"):
    """Make a reply FIFO of that size, held while this connection lives. Answer: its number."""

    nbytes: Nbytes


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
    front: list[bytes]
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

    nbytes: Nbytes


class OpenSlab(_Request, frozen=True, tag="open-slab"):
    """The memory of a large payload. Answer: memfd, or none when its message has ended."""

    number: int


class FreeSlab(_Request, frozen=True, tag="free-slab"):
    """Its owner has no use for it any more."""

    number: int


class EndPayload(_Request, frozen=True, tag="end-payload"):
    """Nobody will read the large payload that a frame named so. No answer: it can be said without waiting."""

    body: Annotated[int, msgspec.Meta(ge=0)]


class GrowSnapshots(_Request, frozen=True, tag="snapshots"):
    """More memory for an actor's snapshots, with slots of so many bytes. Answer: memfd."""

    path: str
    nbytes: Nbytes


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
    | EndPayload
    | MakeRegion
    | OpenRegion
    | GrowSnapshots
    | Memory
    | Define
    | Definition
)

decode_request = msgspec.msgpack.Decoder(Request).decode
