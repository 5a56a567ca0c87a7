"""Plans: child specifications on their way from a program to its supervisor.

What a program writes (`actors.child`: classes, arguments) is packed into control messages and sealed memfds: the
supervisor never opens what is in those. There they become what is decided on (`supervision.spec`), each worker with its
`Program`: what to run.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from actors.actor import Actor
from actors.child import (
    Backoff,
    Child,
    ChildOptions,
    Durable,
    Host,
    Limits,
    Mailbox,
    Tree,
    checked,
    checked_child,
    checked_name,
)
from actors.errors import BadSpec
from actors.role import has_snapshots, role_of
from runtime.mailbox.page import packed
from runtime.memory.seal import sealed
from runtime.process.payload import joined_payload
from runtime.supervision.depth import check_depth
from runtime.supervision.spec import Path, SupervisorSpec, WorkerSpec, validate
from runtime.wire.codec import Codec
from runtime.wire.codec_pickler import is_importable
from runtime.wire.control import Subtree, Worker
from runtime.wire.parts import whole
from runtime.wire.stream import Protocol, encode
from runtime.workdir import absolute


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """What a worker runs, as the supervisor holds it. Owns the payload's descriptor.

    Attributes:
        actor: label of the class.
        payload: memfd of the class and its constructor call.
        mailbox: its bound.
        crash_on_raise: None: as the class says.
        drain: what an ordered stop does with the queue.
        understudies: processes kept waiting.
        watchdog: seconds a message may be in hand; None: for ever.
        heartbeat: seconds its event loop may not run; None: for ever.
        limits: what recycles it; None: nothing.
        pool: so many are behind its reference; 0: it alone.
        has_snapshots: its state is committed after each message.
        snapshot_every: or of so many tells together.
        durable: where that is kept on disk too; None: nowhere.
        host: where it runs.
        digest: of all that it runs, class, constructor call and options: equal ones run the same. b"" equals none.
    """

    actor: str
    payload: int
    mailbox: Mailbox
    crash_on_raise: bool | None
    drain: str
    understudies: int
    watchdog: float | None = None
    heartbeat: float | None = None
    limits: Limits | None = None
    pool: int = 0
    has_snapshots: bool = False
    snapshot_every: int = 1
    durable: Durable | None = None
    host: Host = "process"
    digest: bytes = b""

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Program) and bool(self.digest) and self.digest == other.digest)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __del__(self) -> None:
        """Close the payload, once no specification refers to it."""
        os.close(self.payload)


class Packer:
    """Packs specifications for one request; `fds` are the payloads, to be sent beside it and closed by `close`."""

    def __init__(self, path: Sequence[str] = (), system: str = "") -> None:
        """Pack for actors of this system that have these directories in front of a `sys.path` like ours."""
        self._system = system
        self._codec = Codec(importable=partial(is_importable, front=path))
        self.fds: list[int] = []

    def pack(self, name: str, spec: Child[Actor] | Tree, path: Path = "") -> Worker | Subtree:
        """One specification and all below it.

        Args:
            name: of the child.
            spec: what it is.
            path: where it will be, for errors.

        Raises:
            BadSpec: a name or an option that cannot be.
            Unencodable: a constructor argument that cannot be sent.
        """
        check_depth(name, spec, path)
        if isinstance(spec, Tree):
            return self.pack_tree(name, spec, path)
        return self._pack_worker(checked_name(name), spec)

    def pack_tree(self, name: str, spec: Tree, path: Path = "") -> Subtree:
        """A supervisor and all below it; raises as `pack`."""
        check_depth(name, spec, path)
        validate(_outline(name, spec), path)
        return self._pack_tree(name, spec)

    def _pack_tree(self, name: str, spec: Tree) -> Subtree:
        return Subtree(
            name=name,
            strategy="dynamic" if spec.template is not None else spec.strategy,
            max_restarts=spec.max_restarts,
            max_seconds=spec.max_seconds,
            backoff=spec.backoff,
            auto_shutdown=spec.auto_shutdown,
            restart=spec.restart,
            shutdown=spec.shutdown,
            significant=spec.significant,
            children=[self._pack_below(checked_name(child), below) for child, below in spec.children.items()],
            template=None if spec.template is None else self._pack_template(name, spec.template),
            max_children=spec.max_children,
        )

    def _pack_template(self, name: str, template: Child[Actor]) -> Worker:
        replicas = checked_child(name, template).settings.replicas
        if replicas != 1:
            raise BadSpec(name, "invalid_replicas", f"expected 1 in the template of dynamic(…), got {replicas}")
        return self._pack_worker("template", template)

    def _pack_below(self, name: str, spec: Child[Actor] | Tree) -> Worker | Subtree:
        return self._pack_tree(name, spec) if isinstance(spec, Tree) else self._pack_worker(name, spec)

    def close(self) -> None:
        """Close the payloads; the supervisor has its own descriptors of them."""
        for fd in self.fds:
            os.close(fd)
        self.fds.clear()

    def _pack_worker(self, name: str, spec: Child[Actor]) -> Worker:
        actor = checked_child(name, spec).actor
        if not isinstance(actor, type):
            raise BadSpec(name, "missing_start", f"expected a subclass of Actor, got {actor!r}")
        options = checked(spec.settings, name)
        class_part = whole(self._codec.encode_value(actor, actor.__qualname__)[1])
        constructor_part = self._codec.encode_constructor(actor, spec.args, dict(spec.kwargs))
        payload = joined_payload(class_part, _table_of(actor), constructor_part)
        self.fds.append(sealed(payload))
        return Worker(
            name=name,
            actor=f"{actor.__module__}:{actor.__qualname__}",
            payload=len(self.fds) - 1,
            digest=hashlib.blake2b(joined_payload(class_part, b"", constructor_part), digest_size=16).digest(),
            restart=options.restart,
            shutdown=options.shutdown,
            ready=options.ready,
            mailbox=options.mailbox,
            crash_on_raise=None if options.on_raise is None else options.on_raise == "crash",
            replicas=options.replicas,
            significant=options.significant,
            drain=options.drain,
            understudies=options.understudies,
            watchdog=options.watchdog,
            heartbeat=options.heartbeat,
            limits=options.limits,
            host=options.host,
            has_snapshots=has_snapshots(actor),
            snapshot_every=self._snapshot_every(name, actor, options),
            durable=self._durable(name, actor, options),
        )

    def _snapshot_every(self, name: str, actor: type[Actor], options: ChildOptions) -> int:
        if options.snapshot_every > 1 and not has_snapshots(actor):
            detail = f"expected an actor with snapshot and restore, got {actor.__qualname__}"
            raise BadSpec(name, "invalid_snapshot_every", detail)
        return options.snapshot_every

    def _durable(self, name: str, actor: type[Actor], options: ChildOptions) -> Durable | None:
        """Where its state is to be kept; what cannot be known here is found by its start."""
        if options.durable is None:
            return None
        if not has_snapshots(actor):
            detail = f"expected an actor with snapshot and restore, got {actor.__qualname__}"
            raise BadSpec(name, "invalid_durable", detail)
        if self._system.endswith(f"-{os.getpid()}"):
            detail = f'expected a system with a name, Supervisor("shop"): next time {self._system!r} is another one'
            raise BadSpec(name, "invalid_durable", detail)
        found = absolute([options.durable])
        if not found:
            detail = f"expected an absolute path, got {str(options.durable)!r}: the working directory does not exist"
            raise BadSpec(name, "invalid_durable", detail)
        return Durable(found[0], options.durable_every)


def _table_of(actor: type[Actor]) -> bytes:
    """What its references are checked against before its first start publishes it; one too large fails that start."""
    try:
        return packed(role_of(actor).entries)[0]
    except ValueError:
        return b""


def _outline(name: str, spec: Tree) -> SupervisorSpec:
    """What the decisions will check, without what is to run: bad flags are told before anything starts."""
    return SupervisorSpec(
        name=name,
        restart=spec.restart,
        shutdown=spec.shutdown,
        significant=spec.significant,
        strategy="dynamic" if spec.template is not None else spec.strategy,
        max_restarts=spec.max_restarts,
        max_seconds=spec.max_seconds,
        backoff=spec.backoff,
        auto_shutdown=spec.auto_shutdown,
        children=tuple(
            _outline(child, below) if isinstance(below, Tree) else _outline_worker(child, below)
            for child, below in spec.children.items()
        ),
        template=None if spec.template is None else _outline_worker("template", spec.template),
        max_children=spec.max_children,
    )


def _outline_worker(name: str, spec: Child[Actor]) -> WorkerSpec:
    options = checked(checked_child(name, spec).settings, name)
    return WorkerSpec(name, options.restart, options.shutdown, options.ready, options.significant)


def unpacked(plan: Worker | Subtree, fds: list[int], backoff: Backoff | None) -> WorkerSpec | SupervisorSpec:
    """The specification that decisions are made on; its programs own the descriptors from now on.

    Args:
        plan: what came.
        fds: the payloads beside it.
        backoff: of the supervisor above, which a pool shares.

    Raises:
        Protocol: a payload that did not come along.
    """
    if isinstance(plan, Worker):
        return _worker(plan, fds, backoff)
    return unpacked_tree(plan, fds)


def unpacked_instance(plan: Worker | Subtree, fds: list[int], template: WorkerSpec, where: Path) -> WorkerSpec:
    """An instance of a dynamic supervisor's template: name, class and arguments are its own, all else the template's.

    Raises:
        BadSpec: it is a supervisor, or has no snapshots and the template's options are about them.
        Protocol: a payload that did not come along.
    """
    if not isinstance(plan, Worker) or not isinstance(template.payload, Program):
        raise BadSpec(where, "bad_start_spec", "expected child(…): a dynamic supervisor's children are of its template")
    if plan.replicas != 1:
        raise BadSpec(where, "invalid_replicas", f"expected no replicas of an instance, got {plan.replicas}")
    shared = template.payload
    if not plan.has_snapshots and (shared.durable is not None or shared.snapshot_every > 1):
        detail = f"expected an actor with snapshot and restore, as the template's durable wants, got {plan.actor}"
        raise BadSpec(where, "invalid_durable", detail)
    own = _program(plan, fds)
    digest = hashlib.blake2b(shared.digest + plan.digest, digest_size=16).digest()
    payload = os.dup(own.payload)  # its own is closed with it
    program = replace(
        shared, actor=own.actor, payload=payload, has_snapshots=own.has_snapshots, digest=shared.digest and digest
    )
    return replace(template, name=plan.name, payload=program)


def unpacked_tree(plan: Subtree, fds: list[int]) -> SupervisorSpec:
    """As `unpacked`, of a supervisor."""
    template = None
    if plan.template is not None:
        template = _single(plan.template, _program(plan.template, fds))
    return SupervisorSpec(
        name=plan.name,
        restart=plan.restart,
        shutdown=plan.shutdown,
        significant=plan.significant,
        strategy=plan.strategy,
        max_restarts=plan.max_restarts,
        max_seconds=plan.max_seconds,
        backoff=plan.backoff,
        auto_shutdown=plan.auto_shutdown,
        children=tuple(unpacked(child, fds, plan.backoff) for child in plan.children),
        template=template,
        max_children=plan.max_children,
    )


def _worker(plan: Worker, fds: list[int], backoff: Backoff | None) -> WorkerSpec | SupervisorSpec:
    program = _program(plan, fds)
    if plan.replicas == 1:
        return _single(plan, program)
    members = tuple(
        WorkerSpec(f"r{n}", plan.restart, plan.shutdown, plan.ready, significant=False, payload=program)
        for n in range(1, plan.replicas + 1)
    )
    return SupervisorSpec(
        plan.name,
        plan.restart,
        "infinity",
        plan.significant,
        max_restarts=3 * plan.replicas,  # the default window, for each of them
        backoff=backoff,
        children=members,
        pool=True,
    )


def _single(plan: Worker, program: Program) -> WorkerSpec:
    return WorkerSpec(plan.name, plan.restart, plan.shutdown, plan.ready, plan.significant, program)


def _program(plan: Worker, fds: list[int]) -> Program:
    if not 0 <= plan.payload < len(fds):
        raise Protocol(f"payload {plan.payload} of {plan.name}: expected one of {len(fds)} descriptors")
    pool = plan.replicas if plan.replicas > 1 else 0
    return Program(
        plan.actor,
        os.dup(fds[plan.payload]),
        plan.mailbox,
        plan.crash_on_raise,
        plan.drain,
        plan.understudies,
        plan.watchdog,
        plan.heartbeat,
        plan.limits,
        pool,
        plan.has_snapshots,
        plan.snapshot_every,
        plan.durable,
        plan.host,
        digest=_digest(plan),
    )


def _digest(plan: Worker) -> bytes:
    """Of the payload and of every option that makes a program; where the payload stands among others is none."""
    watched = (plan.watchdog, plan.heartbeat, plan.limits)
    program = (
        plan.digest,
        plan.mailbox,
        plan.crash_on_raise,
        plan.drain,
        plan.understudies,
        plan.snapshot_every,
        plan.durable,
        plan.host,
        *watched,
    )
    return hashlib.blake2b(encode(program), digest_size=16).digest()
