"""What each request of the control socket does: one function each, given the connection to answer.

Nothing here imports, evaluates or unpickles anything. A request is refused by raising an `ActorError`; a handler that
answers later keeps the connection for it.
"""

from collections.abc import Callable
from dataclasses import replace
from time import monotonic_ns
from typing import Any, Protocol

import msgspec

from actors.child import checked_name
from actors.errors import ActorError, ActorStopped, AlreadyStarted, BadSpec, NotFound, StartCycle
from runtime.account import memory_status
from runtime.callers import Callers
from runtime.connection import Connection
from runtime.deaths import Deaths
from runtime.estate import Estate
from runtime.letters import Letters
from runtime.mailbox.box import Box
from runtime.mailbox.poolqueue import PoolQueue
from runtime.memory import slab, snapshots
from runtime.memory.allowance import Allowance
from runtime.names import Names
from runtime.overview import overview
from runtime.plan import unpacked, unpacked_instance, unpacked_tree
from runtime.reporter import Reporter
from runtime.supervision import action
from runtime.supervision.spec import Spec, SupervisorSpec, joined
from runtime.supervision.tree import Tree, count_children, find, find_specified, in_order
from runtime.troupe import Troupe
from runtime.vault import Vault
from runtime.watches import Watches
from runtime.wire import answer, control, stream
from runtime.wire.frame import walk

Answered = Callable[[action.Result], None]
Reloaded = Callable[[list[answer.Change] | ActorError], None]


class System(Protocol):
    """What requests need of the supervisor behind it."""

    system: str
    tree: Tree
    troupe: Troupe
    callers: Callers
    vault: Vault
    estate: Estate
    allowance: Allowance
    deaths: Deaths
    letters: Letters
    watches: Watches
    reporter: Reporter
    names: Names

    def boot(self, spec: SupervisorSpec, answered: Answered) -> None:
        """Start the tree."""

    def start_child(self, supervisor: str, spec: Spec, answered: Answered) -> None:
        """Start a child."""

    def stop_child(self, path: str, answered: Answered) -> None:
        """Stop a child."""

    def restart_child(self, path: str, answered: Answered, *, code: bool = False) -> None:
        """Stop a child and start it again."""

    def reload(self, path: str, spec: SupervisorSpec, front: list[bytes], answered: Reloaded) -> None:
        """Turn a supervisor into something else."""

    def delete_child(self, path: str, answered: Answered) -> None:
        """Forget a stopped child's specification."""

    def stop(self, answered: Answered | None = None) -> None:
        """Stop the whole tree."""

    def kill(self) -> None:
        """End at once."""


def _hello(system: System, connection: Connection, request: control.Hello, _fds: list[int]) -> None:
    connection.is_known = True
    connection.pid = request.pid
    connection.seat = connection.seat or system.troupe.seats.take()
    welcome = answer.Welcome(system.system, connection.seat)
    connection.answer(msgspec.to_builtins(welcome), [system.troupe.seats.fd])


def _boot(system: System, connection: Connection, request: control.Boot, fds: list[int]) -> None:
    if system.tree.phase != "down":
        raise AlreadyStarted(system.system, "the tree was booted by the program that owns it")
    system.troupe.set_up(request.path, request.argv)
    system.boot(unpacked_tree(request.tree, fds), connection.result)


def _open(system: System, connection: Connection, request: control.Open, _fds: list[int]) -> None:
    child = find_specified(system.tree, request.path)
    if child is None:
        raise NotFound(request.path, "there is no such actor")
    if isinstance(child.spec, SupervisorSpec):
        if not child.spec.pool:
            raise NotFound(request.path, "it is a supervisor, not an actor")
        node = system.tree.nodes.get(request.path)
        names = [name for name, _ in in_order(node)] if node is not None else [one.name for one in child.spec.children]
        paths = [joined(request.path, name) for name in names]
    else:
        paths = [request.path]
    boxes = [
        box
        for path in paths
        if (box := system.troupe.mailboxes.box_of(path, find_specified(system.tree, path))) is not None
    ]
    if not boxes:
        raise ActorStopped(request.path, "no", "stopped for good")
    queue = system.troupe.mailboxes.queue_of(request.path)
    held: list[Box | PoolQueue] = [*boxes, *([queue] if queue is not None else [])]
    opened = answer.Opened([each.directory for each in held], is_pool=queue is not None)
    connection.answer(msgspec.to_builtins(opened), [each.page_fd for each in held])


def _open_replies(system: System, connection: Connection, request: control.OpenReplies, _fds: list[int]) -> None:
    number = system.callers.open(request.nbytes)
    connection.replies.append(number)
    connection.answer(number)


def _start(system: System, connection: Connection, request: control.Start, fds: list[int]) -> None:
    _refuse_start_cycle(request.supervisor, request.starting)
    path = joined(request.supervisor, request.child.name)
    above = system.tree.nodes.get(request.supervisor)
    template = above.spec.template if above is not None else None
    spec: Spec
    if template is not None:
        spec = unpacked_instance(request.child, fds, template, path)
    else:
        spec = unpacked(request.child, fds, above.spec.backoff if above is not None else None)
    system.start_child(request.supervisor, spec, lambda result: connection.result(result, path))


def _start_instance(system: System, connection: Connection, request: control.StartInstance, _fds: list[int]) -> None:
    _refuse_start_cycle(request.supervisor, request.starting)
    node = system.tree.nodes.get(request.supervisor)
    if node is None:
        raise NotFound(request.supervisor, "there is no such supervisor")
    if node.spec.template is None:
        raise BadSpec(request.supervisor, "bad_start_spec", "it is not dynamic: there is no template")
    path = joined(request.supervisor, request.name)
    spec = replace(node.spec.template, name=checked_name(request.name))
    system.start_child(request.supervisor, spec, lambda result: connection.result(result, path))


def _stop(system: System, connection: Connection, request: control.Stop, _fds: list[int]) -> None:
    if request.path:
        _refuse_start_cycle(request.path.rpartition(".")[0], request.starting)
        system.stop_child(request.path, connection.result)
    else:
        system.stop(connection.result)


def _restart(system: System, connection: Connection, request: control.Restart, _fds: list[int]) -> None:
    _refuse_start_cycle(request.path.rpartition(".")[0], request.starting)
    system.restart_child(request.path, connection.result, code=request.code)


def _reload(system: System, connection: Connection, request: control.Reload, fds: list[int]) -> None:
    if not request.path or request.starting.startswith(f"{request.path}."):
        _refuse_start_cycle(request.starting.rpartition(".")[0], request.starting)
    system.reload(request.path, unpacked_tree(request.tree, fds), request.front, connection.reloaded)


def _delete(system: System, connection: Connection, request: control.Delete, _fds: list[int]) -> None:
    system.delete_child(request.path, connection.result)


def _status(system: System, connection: Connection, request: control.Status, _fds: list[int]) -> None:
    if request.path and system.tree.nodes.get(request.path) is None:
        raise NotFound(request.path, "there is no such supervisor")
    connection.answer(
        msgspec.to_builtins(overview(system.tree, system.troupe, system.vault, request.path, deep=request.deep))
    )


def _count(system: System, connection: Connection, request: control.Count, _fds: list[int]) -> None:
    counts = count_children(system.tree, request.path)
    connection.answer(
        {
            "specs": counts.specs,
            "active": counts.active,
            "supervisors": counts.supervisors,
            "workers": counts.workers,
        }
    )


def _watch(system: System, connection: Connection, request: control.Watch, _fds: list[int]) -> None:
    change = system.watches.add if request.on else system.watches.remove
    change(request.path, request.watcher)
    connection.answer()


def _watch_letters(system: System, connection: Connection, request: control.WatchLetters, _fds: list[int]) -> None:
    change = system.watches.add_reader if request.on else system.watches.remove_reader
    change(request.watcher)
    connection.answer()


def _why(system: System, connection: Connection, request: control.Why, _fds: list[int]) -> None:
    certificate = system.deaths.last(request.path)
    if certificate is None and request.path and find(system.tree, request.path) is None:
        raise NotFound(request.path, "there is no such actor, and none of that name has died")
    connection.answer(None if certificate is None else certificate.to_dict())


def _keep_letter(system: System, connection: Connection, request: control.KeepLetter, _fds: list[int]) -> None:
    headers = walk(memoryview(request.frame), 0, len(request.frame))
    if len(headers) != 1 or system.troupe.get(request.path) is None:
        raise stream.Protocol("keep: expected one frame of a known actor")
    system.letters.keep(
        request.path,
        headers[0],
        request.frame,
        why=f"it cannot be decoded: {request.why}",
        message="",
        now_ns=monotonic_ns(),
        is_whole=not headers[0].body,  # read already: its slab is given back
    )
    connection.answer()


def _list_letters(system: System, connection: Connection, request: control.ListLetters, _fds: list[int]) -> None:
    connection.answer(msgspec.to_builtins(system.letters.list(request.path)))


def _resend_letter(system: System, connection: Connection, request: control.ResendLetter, _fds: list[int]) -> None:
    path = system.letters.get(request.id).actor
    mailboxes = system.troupe.mailboxes
    system.letters.resend(request.id, mailboxes.queue_of(path) or mailboxes.box_of(path, find(system.tree, path)))
    connection.answer()


def _drop_letter(system: System, connection: Connection, request: control.DropLetter, _fds: list[int]) -> None:
    system.letters.drop(request.id)
    connection.answer()


def _wait(_system: System, connection: Connection, _request: control.Wait, _fds: list[int]) -> None:
    connection.desk.wait(connection)


def _kill_all(system: System, _connection: Connection, _request: control.KillAll, _fds: list[int]) -> None:
    system.kill()


def _make_slab(system: System, connection: Connection, request: control.MakeSlab, _fds: list[int]) -> None:
    if request.nbytes < slab.DATA_AT:
        raise stream.Protocol("slab: expected room for its words")

    async def make() -> None:
        number, fd = await system.vault.make_slab(request.nbytes, connection.number, connection.pid)
        if connection.is_closed:
            system.vault.owner_gone(connection.number)
        else:
            connection.answer(number, [fd])

    connection.desk.in_steps(connection, make())


def _open_slab(system: System, connection: Connection, request: control.OpenSlab, _fds: list[int]) -> None:
    fd = system.vault.slab(request.number)
    connection.answer(None, [] if fd is None else [fd])


def _free_slab(system: System, connection: Connection, request: control.FreeSlab, _fds: list[int]) -> None:
    system.vault.drop_slab(request.number, connection.number)
    connection.answer()


def _end_payload(system: System, _connection: Connection, request: control.EndPayload, _fds: list[int]) -> None:
    system.vault.end_untaken(request.body)


def _grow_snapshots(system: System, connection: Connection, request: control.GrowSnapshots, _fds: list[int]) -> None:
    worker = system.troupe.get(request.path)
    if worker is None or worker.box is None:
        raise NotFound(request.path, "its mailbox is closed")
    nbytes, what = snapshots.nbytes_of(request.nbytes), f"snapshots of {request.path}"
    system.allowance.check(nbytes, what)
    try:
        fd = worker.box.grow_snapshots(request.nbytes)
    except OSError as exc:
        raise system.allowance.refusal(nbytes, what, exc) from exc
    connection.answer(None, [fd])


def _make_region(system: System, connection: Connection, request: control.MakeRegion, _fds: list[int]) -> None:
    async def make() -> None:
        connection.answer(None, [await system.estate.make_region(request.name, request.layout, request.writers)])

    connection.desk.in_steps(connection, make())


def _open_region(system: System, connection: Connection, request: control.OpenRegion, _fds: list[int]) -> None:
    connection.answer(None, [system.estate.region(request.name)])


def _memory(system: System, connection: Connection, _request: control.Memory, _fds: list[int]) -> None:
    status = memory_status(system.allowance, system.vault, system.estate, system.troupe)
    connection.answer(msgspec.to_builtins(status))


def _define(system: System, connection: Connection, request: control.Define, fds: list[int]) -> None:
    if len(fds) != 1:
        raise stream.Protocol("define: expected one descriptor")
    connection.answer(system.estate.define(request.key, fds[0]))


def _definition(system: System, connection: Connection, request: control.Definition, _fds: list[int]) -> None:
    fd = system.estate.definition(request.number)
    if fd is None:
        raise NotFound(f"definition {request.number}", "there is none")
    connection.answer(None, [fd])


def _refuse_start_cycle(supervisor: str, starting: str) -> None:
    if starting and supervisor == starting.rpartition(".")[0]:
        raise StartCycle(f"{starting} is being started by the supervisor it asks; do it after on_start")


HANDLERS: dict[type, Callable[[System, Connection, Any, list[int]], None]] = {
    control.Hello: _hello,
    control.Boot: _boot,
    control.Open: _open,
    control.OpenReplies: _open_replies,
    control.Start: _start,
    control.StartInstance: _start_instance,
    control.Stop: _stop,
    control.Restart: _restart,
    control.Reload: _reload,
    control.Delete: _delete,
    control.Status: _status,
    control.Count: _count,
    control.Watch: _watch,
    control.WatchLetters: _watch_letters,
    control.Why: _why,
    control.KeepLetter: _keep_letter,
    control.ListLetters: _list_letters,
    control.ResendLetter: _resend_letter,
    control.DropLetter: _drop_letter,
    control.Wait: _wait,
    control.KillAll: _kill_all,
    control.MakeSlab: _make_slab,
    control.OpenSlab: _open_slab,
    control.FreeSlab: _free_slab,
    control.EndPayload: _end_payload,
    control.MakeRegion: _make_region,
    control.OpenRegion: _open_region,
    control.GrowSnapshots: _grow_snapshots,
    control.Memory: _memory,
    control.Define: _define,
    control.Definition: _definition,
}
