"""The desk: the supervisor's side of the control socket. Reads requests by their schema, answers them.

DE-1  Only this uid: the directory is 0700, the socket 0600, and SO_PEERCRED is asked.
DE-2  What does not fit the schema closes the connection. Nothing here imports, evaluates or unpickles anything.
DE-3  A connection that does not read its answers holds up nobody.
DE-4  Without descriptors nothing spins, and whoever asks for what needs one is told: a request is refused and its line
      lives; a new connection is taken by a descriptor kept for that, and refused. Where even that cannot be done, new
      connections wait.
"""

import asyncio
import contextlib
import errno
import itertools
import os
import socket
import struct
from collections.abc import Callable, Coroutine
from dataclasses import replace
from time import monotonic_ns
from typing import Any, Protocol

import msgspec

from actors.child import checked_name
from actors.errors import ActorError, ActorStopped, AlreadyStarted, BadSpec, NotFound, StartCycle
from runtime.account import memory_status
from runtime.callers import Callers
from runtime.deaths import Deaths
from runtime.estate import Estate
from runtime.letters import Letters
from runtime.memory import snapshots
from runtime.memory.allowance import Allowance
from runtime.overview import overview
from runtime.plan import unpacked, unpacked_tree
from runtime.supervision import action
from runtime.supervision.spec import Spec, SupervisorSpec, joined
from runtime.supervision.tree import Tree, count_children, find, in_order
from runtime.troupe import Troupe
from runtime.vault import Vault
from runtime.watches import Watches
from runtime.wire import control
from runtime.wire.frame import walk
from runtime.wire.line import failed_of

_MOST_CONNECTIONS = 8192
_HELLO_SECONDS = 5.0
_PAUSE_SECONDS = 0.1  # until a connection that cannot be taken is tried again
_TAKEN_SECONDS = 2.0  # an answer that was read is opened within it
_numbers = itertools.count(1)
Answered = Callable[[action.Result], None]
Reloaded = Callable[[list[control.Change] | ActorError], None]


class System(Protocol):
    """What the desk needs of the supervisor behind it."""

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

    def boot(self, spec: SupervisorSpec, answered: Answered) -> None:
        """Start the tree."""

    def start_child(self, supervisor: str, spec: Spec, answered: Answered) -> None:
        """Start a child."""

    def stop_child(self, path: str, answered: Answered) -> None:
        """Stop a child."""

    def restart_child(self, path: str, answered: Answered, *, code: bool = False) -> None:
        """Stop a child and start it again."""

    def reload(self, path: str, spec: SupervisorSpec, front: list[str], answered: Reloaded) -> None:
        """Turn a supervisor into something else."""

    def delete_child(self, path: str, answered: Answered) -> None:
        """Forget a stopped child's specification."""

    def stop(self, answered: Answered | None = None) -> None:
        """Stop the whole tree."""

    def kill(self) -> None:
        """End at once."""


class Connection:
    """One connection: a process's line. Closed by the peer, by a fault in what it sends, or with the system."""

    def __init__(self, desk: "Desk", channel: control.Channel, *, is_last: bool = False) -> None:
        """Serve a connection.

        Args:
            is_last: it was taken by the last descriptor: it is told so, and hung up on.
        """
        self.desk = desk
        self.is_last = is_last
        self.channel = channel
        self.number = next(_numbers)
        self.pid = 0
        self.replies: list[int] = []
        self.seat = 0
        self.is_known = False
        self.is_closed = False

    def answer(self, value: Any = None, fds: list[int] | None = None) -> None:
        """Answer the request at hand."""
        self._send(control.Ok(value, len(fds or ())), fds)

    def refuse(self, error: ActorError) -> None:
        """Refuse the request at hand."""
        self._send(failed_of(error), None)

    def result(self, result: action.Result, value: Any = None) -> None:
        """Answer with what the decisions said."""
        if isinstance(result, action.Refused):
            self.refuse(result.error)
        else:
            self.answer(value)

    def reloaded(self, outcome: list[control.Change] | ActorError) -> None:
        """Answer with what a reload did."""
        if isinstance(outcome, ActorError):
            self.refuse(outcome)
        else:
            self.answer(msgspec.to_builtins(outcome))

    def _send(self, message: control.Answer, fds: list[int] | None) -> None:
        if self.is_closed:
            return
        try:
            self.channel.put(control.encode(message), fds)
        except control.Protocol as exc:  # more than a message may hold
            self.channel.put(control.encode(failed_of(ActorError(f"the answer is too large: {exc}"))))
        except OSError as exc:  # no descriptor for the copies: only this request cannot be answered
            self.channel.put(control.encode(failed_of(_lacking("the answer", exc))))
        self.desk.flush(self)


class Desk:
    """All connections to the control socket."""

    def __init__(self, system: System, path: str) -> None:
        self._system = system
        self._path = path
        self._connections: dict[int, Connection] = {}
        self._waiting: list[Connection] = []
        self._making: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Bind and listen (DE-1)."""
        self._loop = asyncio.get_running_loop()
        directory = os.open(os.path.dirname(self._path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        umask = os.umask(0o177)
        try:
            self._sock.bind(f"/proc/self/fd/{directory}/control")  # sun_path holds 107 bytes
        finally:
            os.umask(umask)
            os.close(directory)
        self._sock.listen(512)
        self._reserve = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self._loop.add_reader(self._sock.fileno(), self._on_connect)

    def flush(self, connection: Connection) -> None:
        """Send what is queued, now or when the peer reads (DE-3)."""
        fd = connection.channel.sock.fileno()
        try:
            is_done = connection.channel.flush()
        except OSError:
            self.drop(connection)
            return
        if is_done:
            self._loop.remove_writer(fd)
        else:
            self._loop.add_writer(fd, self.flush, connection)

    def drop(self, connection: Connection) -> None:
        """Close a connection and forget what belonged to it."""
        if connection.is_closed:
            return
        connection.is_closed = True
        fd = connection.channel.sock.fileno()
        self._loop.remove_reader(fd)
        self._loop.remove_writer(fd)
        self._connections.pop(fd, None)
        if connection in self._waiting:
            self._waiting.remove(connection)
        for number in connection.replies:
            self._system.callers.close(number)
        self._system.troupe.seats.leave(connection.seat)
        for body in self._system.vault.owner_gone(connection.number):
            self._loop.call_later(_TAKEN_SECONDS, self._system.vault.end_untaken, body)
        connection.channel.close()
        self._restock()

    def wait(self, connection: Connection) -> None:
        """It is to be told how the system ends."""
        self._waiting.append(connection)

    def in_steps(self, connection: Connection, making: Coroutine[Any, Any, None]) -> None:
        """Answer a request by what is made in steps, while others are served; its errors are refusals."""

        async def make() -> None:
            try:
                await making
            except ActorError as exc:
                connection.refuse(exc)

        task = self._loop.create_task(make())
        self._making.add(task)  # a loop holds its tasks by weak references only
        task.add_done_callback(self._making.discard)

    def tell_ending(self, ending: control.Ending) -> None:
        """Answer those who wait for the end."""
        for connection in list(self._waiting):
            connection.answer(msgspec.to_builtins(ending))

    def close(self) -> None:
        """Stop listening, close all connections."""
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        if self._reserve >= 0:
            os.close(self._reserve)
        for connection in list(self._connections.values()):
            self.drop(connection)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    def _on_connect(self) -> None:
        is_last = False
        try:
            sock, _ = self._sock.accept()
        except BlockingIOError:
            return
        except OSError:  # EMFILE
            last = self._accept_last()
            if last is None:
                return
            sock, is_last = last, True
        _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid != os.geteuid() or len(self._connections) >= _MOST_CONNECTIONS:
            sock.close()
            self._restock()
            return
        sock.setblocking(False)
        connection = Connection(self, control.Channel(sock), is_last=is_last)
        self._connections[sock.fileno()] = connection
        self._loop.add_reader(sock.fileno(), self._on_readable, connection)
        self._loop.call_later(_HELLO_SECONDS, self._expect_hello, connection)

    def _accept_last(self) -> socket.socket | None:
        """Take one more connection by the descriptor kept for it, only to say why there can be no other (DE-4)."""
        if self._reserve >= 0:
            os.close(self._reserve)
            self._reserve = -1
            with contextlib.suppress(OSError):
                return self._sock.accept()[0]
            self._restock()
        self._loop.remove_reader(self._sock.fileno())
        self._loop.call_later(_PAUSE_SECONDS, self._listen)
        return None

    def _listen(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.add_reader(self._sock.fileno(), self._on_connect)

    def _restock(self) -> None:
        """Have a descriptor in reserve again; nothing while there is none to be had, or the desk is closed."""
        if self._reserve < 0 and self._sock.fileno() >= 0:
            with contextlib.suppress(OSError):
                self._reserve = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)

    def _expect_hello(self, connection: Connection) -> None:
        if not connection.is_known:
            self.drop(connection)

    def _on_readable(self, connection: Connection) -> None:
        try:
            if not connection.channel.feed():
                self.drop(connection)
                return
            while not connection.is_closed and (body := connection.channel.take()) is not None:
                self._serve(connection, control.decode_request(body), connection.channel.take_fds())
        except BlockingIOError:
            return
        except (OSError, control.Protocol, msgspec.MsgspecError, ArithmeticError, ValueError):  # CT-1
            self.drop(connection)

    def _serve(self, connection: Connection, request: Any, fds: list[int]) -> None:
        """Handle one request, or refuse it: what it lacks ends neither the connection nor anything else."""
        try:
            if connection.is_last or connection.channel.take_cut():
                connection.refuse(_lacking(type(request).__name__, OSError(errno.EMFILE, "")))
            else:
                self._handle(connection, request, fds)
        except ActorError as exc:
            connection.refuse(exc)
        except OSError as exc:  # no descriptors, no inodes: what was asked for cannot be had, the rest lives
            connection.refuse(_lacking(type(request).__name__, exc))
        finally:
            for fd in fds:
                os.close(fd)
        if connection.is_last and not connection.channel.has_output():
            self.drop(connection)

    def _handle(self, connection: Connection, request: Any, fds: list[int]) -> None:
        if not connection.is_known and not isinstance(request, control.Hello):
            raise control.Protocol("expected hello")
        handler = _HANDLERS.get(type(request))
        if handler is None:
            raise control.Protocol("a request that nobody handles")
        handler(self._system, connection, request, fds)


def _lacking(what: str, error: OSError) -> ActorError:
    return ActorError(f"{what}: the supervisor: {os.strerror(error.errno or 0)}")


def _hello(system: System, connection: Connection, request: control.Hello, _fds: list[int]) -> None:
    connection.is_known = True
    connection.pid = request.pid
    connection.seat = connection.seat or system.troupe.seats.take()
    welcome = control.Welcome(system.system, connection.seat)
    connection.answer(msgspec.to_builtins(welcome), [system.troupe.seats.fd])


def _boot(system: System, connection: Connection, request: control.Boot, fds: list[int]) -> None:
    if system.tree.phase != "down":
        raise AlreadyStarted(system.system, "the tree was booted by the program that owns it")
    system.troupe.set_up(request.path, request.argv)
    system.boot(unpacked_tree(request.tree, fds), connection.result)


def _open(system: System, connection: Connection, request: control.Open, _fds: list[int]) -> None:
    child = find(system.tree, request.path)
    if child is None:
        raise NotFound(request.path, "there is no such actor")
    if isinstance(child.spec, SupervisorSpec):
        if not child.spec.pool:
            raise NotFound(request.path, "it is a supervisor, not an actor")
        node = system.tree.nodes.get(request.path)
        paths = [joined(request.path, name) for name, _ in in_order(node)] if node is not None else []
    else:
        paths = [request.path]
    boxes = [
        box for path in paths if (box := system.troupe.mailboxes.box_of(path, find(system.tree, path))) is not None
    ]
    if not boxes:
        raise ActorStopped(request.path, "no", "stopped for good")
    refuse = system.troupe.mailboxes.refuses(paths[0])
    opened = control.Opened([box.directory for box in boxes], refuse)
    connection.answer(msgspec.to_builtins(opened), [box.page_fd for box in boxes])


def _open_replies(system: System, connection: Connection, request: control.OpenReplies, _fds: list[int]) -> None:
    number = system.callers.open(request.nbytes)
    connection.replies.append(number)
    connection.answer(number)


def _start(system: System, connection: Connection, request: control.Start, fds: list[int]) -> None:
    _refuse_start_cycle(request.supervisor, request.starting)
    path = joined(request.supervisor, request.child.name)
    above = system.tree.nodes.get(request.supervisor)
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
        raise control.Protocol("keep: expected one frame of a known actor")
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
    system.letters.resend(request.id, system.troupe.mailboxes.box_of(path, find(system.tree, path)))
    connection.answer()


def _drop_letter(system: System, connection: Connection, request: control.DropLetter, _fds: list[int]) -> None:
    system.letters.drop(request.id)
    connection.answer()


def _wait(_system: System, connection: Connection, _request: control.Wait, _fds: list[int]) -> None:
    connection.desk.wait(connection)


def _kill_all(system: System, _connection: Connection, _request: control.KillAll, _fds: list[int]) -> None:
    system.kill()


def _make_slab(system: System, connection: Connection, request: control.MakeSlab, _fds: list[int]) -> None:
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
        raise control.Protocol("define: expected one descriptor")
    connection.answer(system.estate.define(request.key, fds[0]))


def _definition(system: System, connection: Connection, request: control.Definition, _fds: list[int]) -> None:
    fd = system.estate.definition(request.number)
    if fd is None:
        raise NotFound(f"definition {request.number}", "there is none")
    connection.answer(None, [fd])


def _refuse_start_cycle(supervisor: str, starting: str) -> None:
    if starting and supervisor == starting.rpartition(".")[0]:
        raise StartCycle(f"{starting} is being started by the supervisor it asks; do it after on_start")


_HANDLERS: dict[type, Callable[[System, Connection, Any, list[int]], None]] = {
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
    control.MakeRegion: _make_region,
    control.OpenRegion: _open_region,
    control.GrowSnapshots: _grow_snapshots,
    control.Memory: _memory,
    control.Define: _define,
    control.Definition: _definition,
}
