"""The overview: every child's status, from the tree and the pages, without asking any actor."""

from collections.abc import Mapping
from time import monotonic_ns

import msgspec

from runtime.backlog import Backlogs
from runtime.mailbox import page
from runtime.mailbox.poolqueue import PoolQueue
from runtime.plan import Program
from runtime.supervision.spec import SupervisorSpec, joined
from runtime.supervision.tree import Child, Node, Tree, in_order, state_of
from runtime.troupe import Troupe
from runtime.vault import Vault
from runtime.wire.answer import ChildStatus
from runtime.worker import Worker, doing


def overview(tree: Tree, troupe: Troupe, vault: Vault, path: str, *, deep: bool) -> list[ChildStatus]:
    """The children of the supervisor at path in start order; with deep, each followed by its own."""
    found: list[ChildStatus] = []
    node = tree.nodes.get(path)
    if node is not None:
        _append(found, tree, troupe, node, deep=deep)
    held, kept = vault.held(), vault.kept()
    return [_with_memory(each, troupe.get(each.path), held, kept) for each in found]


def _with_memory(
    status: ChildStatus, worker: Worker | None, held: Mapping[int, int], kept: Mapping[int, int]
) -> ChildStatus:
    if worker is None or not worker.pid:
        return status
    large = held.get(worker.holder | worker.pid, 0)  # a thread's number is beside the pid (SL-5)
    return msgspec.structs.replace(status, large_bytes=large, arena_bytes=kept.get(worker.pid, 0))


def _append(found: list[ChildStatus], tree: Tree, troupe: Troupe, node: Node, *, deep: bool) -> None:
    for name, child in in_order(node):
        path = joined(node.path, name)
        if isinstance(child.spec, SupervisorSpec):
            queue = troupe.mailboxes.queue_of(path)
            found.append(_supervisor(path, child, child.spec, queue, troupe.backlogs.waiting_seconds(path)))
            below = tree.nodes.get(path)
            if deep and below is not None:
                _append(found, tree, troupe, below, deep=deep)
        else:
            found.append(_worker(path, child, troupe.get(path), troupe.backlogs))


def _supervisor(
    path: str, child: Child, spec: SupervisorSpec, queue: PoolQueue | None, waiting_seconds: float
) -> ChildStatus:
    strategy = "replicas" if spec.pool else spec.strategy
    return ChildStatus(
        path,
        "supervisor",
        state_of(child),
        restarts=child.restarts,
        restart=spec.restart,
        strategy=strategy,
        queued_bytes=0 if queue is None else queue.queued_bytes(),
        mailbox_bytes=0 if queue is None else queue.slots_bytes,
        waiting_seconds=waiting_seconds,
    )


def _worker(path: str, child: Child, worker: Worker | None, backlogs: Backlogs) -> ChildStatus:
    payload = child.spec.payload if not isinstance(child.spec, SupervisorSpec) else None
    label = payload.actor if isinstance(payload, Program) else ""
    status = ChildStatus(
        path,
        "worker",
        state_of(child, is_gone=worker is None or not worker.pid),
        incarnation=child.incarnation,
        restarts=child.restarts,
        actor=label,
        restart=child.spec.restart,
        host=payload.host if isinstance(payload, Program) else "process",
    )
    if worker is None or worker.box is None:
        return status
    words = worker.box.words
    at = doing(worker.box) if worker.pid else None
    since = (monotonic_ns() - at.since_ns) / 1e9 if at is not None else 0.0
    return msgspec.structs.replace(
        status,
        pid=worker.pid,
        handled=words[page.HANDLED],
        failed=words[page.FAILED],
        expired=words[page.EXPIRED],
        in_hand="" if at is None else at.name or "?",
        in_hand_seconds=max(0.0, since),
        queued_bytes=worker.box.queued_bytes(),
        mailbox_bytes=worker.box.mailbox_bytes,
        waiting_seconds=backlogs.waiting_seconds(path),
        unsaved=worker.box.unsaved() if worker.program.durable is not None else 0,
        saves_failed=words[page.SAVES_FAILED],
        lost_lines=words[page.LOST_LINES],
    )
