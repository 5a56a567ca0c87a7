"""Orders from the supervisor to its zygote, over their socketpair."""

import msgspec

from actors.child import Durable


class Setup(msgspec.Struct, frozen=True, tag="setup"):
    """The surroundings of the program that owns the system."""

    path: list[bytes]
    argv: list[bytes]


class Spares(msgspec.Struct, frozen=True, tag="spares"):
    """How many more processes to fork that wait for their order."""

    count: int


class Launch(msgspec.Struct, frozen=True, tag="launch"):
    """Start an actor process. Beside it: descriptors of its page, its payload, the board, and its snapshots if any.

    Attributes:
        token: comes back in the report.
        path: of the actor.
        address: of the reference it is known by: of a replica, the pool's path.
        incarnation: 1 for the first.
        system: name of the system.
        directory: the system's runtime directory.
        mailbox: the mailbox's directory below it.
        crash_on_raise: a handler that raises ends the process.
        warm: import the class before the fork; else in the actor's own process.
        events: descriptor of the pipe to the supervisor.
        seat: of the process on the board.
        pollers: how many processes may poll at a time.
        notice_key: what the supervisor's own frames carry.
        heartbeat: seconds between signs of life of its event loop, as `ChildOptions.heartbeat`; 0: none.
        snapshot_every: as `ChildOptions.snapshot_every`.
        durable: where its state is kept on disk; None: nowhere.
        queue: directory of its pool's queue below the system's; "": it is of no pool.
        drains: when it stops of its own accord, it first handles what is queued: nobody will start it again.
    """

    token: int
    path: str
    address: str
    incarnation: int
    system: str
    directory: str
    mailbox: str
    crash_on_raise: bool | None
    warm: bool
    events: int
    seat: int
    pollers: int
    heartbeat: float = 0.0
    notice_key: int = 0
    snapshot_every: int = 1
    durable: Durable | None = None
    drains: bool = False
    queue: str = ""


class Import(msgspec.Struct, frozen=True, tag="import"):
    """Import what a launch needs, and report that. Beside it: the descriptor of its payload."""

    launch: Launch


class Study(msgspec.Struct, frozen=True, tag="study"):
    """Fork an understudy: a process that gets all ready for a launch, and waits until it is wanted.

    Beside it the launch's descriptors but for the snapshots: those come with the word that it is wanted.

    Attributes:
        launch: its token comes back with the understudy's socket.
        like: pid of the process that plays the part now.
    """

    launch: Launch
    like: int


class Gather(msgspec.Struct, frozen=True, tag="gather"):
    """Start a process that hosts actors in threads: a `Launch` for each comes by its socket.

    Beside it: descriptors of that socket, of the board, and of the memory that its stacks are written to at its end.

    Attributes:
        token: comes back in the report.
        group: path of the supervisor whose actors they are; "" for the root.
        system: name of the system.
        directory: the system's runtime directory.
        seat: of the process on the board.
        pollers: how many processes may poll at a time.
    """

    token: int
    group: str
    system: str
    directory: str
    seat: int
    pollers: int


class Left(msgspec.Struct, frozen=True):
    """What a thread host says of an actor that has ended: the token of its launch, and its exit code."""

    token: int
    code: int


class Spare(msgspec.Struct, frozen=True, tag="spare"):
    """A process that was ordered to wait, and beside it the socket that takes its order. pid 0: it could not be.

    Attributes:
        pid: of it.
        token: of the launch that it is an understudy for; 0: of any that comes.
    """

    pid: int
    token: int = 0


class Report(msgspec.Struct, frozen=True, tag="report"):
    """What came of a launch: a pid, or the error, or the module whose import started threads; of an import no pid."""

    token: int
    pid: int = 0
    error: str = ""
    threads: str = ""


class Ready(msgspec.Struct, frozen=True, array_like=True):
    """What an actor says of itself on the event pipe, a line of JSON in one write: it is ready, or need not run."""

    path: str
    incarnation: int
    is_ignored: bool


def ready_line(ready: Ready) -> bytes:
    """A line for the event pipe; at most PIPE_BUF bytes, so that lines never mix."""
    return msgspec.json.encode(ready) + b"\n"


decode_ready = msgspec.json.Decoder(Ready).decode
encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Setup | Spares | Import | Study | Launch | Gather).decode
decode_launch = msgspec.msgpack.Decoder(Launch).decode
decode_left = msgspec.msgpack.Decoder(Left).decode
decode_report = msgspec.msgpack.Decoder(Report | Spare).decode
