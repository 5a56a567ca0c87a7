"""Statuses as people see them (rich) and as programs read them (plain data)."""

from collections.abc import Sequence

import msgspec
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from runtime.wire.answer import Change, ChildStatus, MemoryStatus

_COLOURS = {
    "running": "green",
    "starting": "yellow",
    "stopping": "yellow",
    "restarting": "red",
    "stopped": "dim",
}
_CHANGE_COLOURS = {"added": "green", "removed": "yellow", "changed": "cyan", "replaced": "cyan"}
_UNITS = (("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10))


def plain(status: ChildStatus) -> dict[str, object]:
    """A status as plain data, for JSON."""
    return msgspec.structs.asdict(status)


def table_of(statuses: Sequence[ChildStatus]) -> Table:
    """One row per actor: its state, its queue, its counts, what is in its hands and since when."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("NAME", no_wrap=True)
    table.add_column("STATE")
    for heading in ("PID", "QUEUE", "LARGE", "HANDLED", "FAILED", "EXPIRED", "RESTARTS"):
        table.add_column(heading, justify="right")
    table.add_column("IN HAND")
    for status in statuses:
        if status.kind == "worker":
            table.add_row(*_cells(status))
    return table


def memory_line(memory: MemoryStatus) -> str:
    """How much shared memory the system has, and of what."""
    regions = ", ".join(f"{name} {_size(nbytes)}" for name, nbytes in memory.regions.items())
    parts = [f"large payloads {_size(memory.large)}", f"snapshots {_size(memory.snapshots)}"]
    parts += [f"regions {regions}"] if regions else []
    return f"memory {_size(memory.used)} of {_size(memory.limit)}: {'; '.join(parts)}"


def plain_memory(memory: MemoryStatus) -> dict[str, object]:
    """The same as plain data, for JSON."""
    return msgspec.structs.asdict(memory)


def tree_of(system: str, statuses: Sequence[ChildStatus]) -> Tree:
    """The tree of supervisors and actors, each supervisor with its strategy."""
    root = Tree(Text(system, style="bold"))
    branches = {"": root}
    for status in statuses:
        if not status.path:
            root.label = _label(status, system)
            continue
        parent, _, name = status.path.rpartition(".")
        branches[status.path] = branches.get(parent, root).add(_label(status, name))
    return root


def table_of_changes(changes: Sequence[Change]) -> Table:
    """One row per change: what was done, to whom, and what went wrong."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for change in changes:
        style = "red" if change.error else _CHANGE_COLOURS.get(change.kind, "")
        first_line = change.error.partition("\n")[0]
        said = f"failed: {first_line}" if change.error else change.detail
        table.add_row(Text(change.kind, style=style), Text(change.path or "(root)"), Text(said))
    return table


def _cells(status: ChildStatus) -> tuple[Text | str, ...]:
    return (
        Text(status.path),
        Text(_state(status), style=_COLOURS.get(status.state, "")),
        _pid(status),
        f"{_size(status.queued_bytes)}/{_size(status.mailbox_bytes)}",
        f"{_size(status.large_bytes)}/{_size(status.arena_bytes)}",
        str(status.handled),
        str(status.failed),
        str(status.expired),
        str(status.restarts),
        Text(_hand(status)),
    )


def _label(status: ChildStatus, name: str) -> Text:
    label = Text(name, style="bold")
    if status.kind == "supervisor":
        return label.append(f"  {status.strategy}".rstrip(), style="not bold cyan")
    label.append(f"  {status.actor}", style="not bold")
    label.append(f"  {status.state}", style=f"not bold {_COLOURS.get(status.state, '')}".rstrip())
    if status.pid:
        label.append(f"  pid {_pid(status)}", style="not bold dim")
    return label.append(f"  {status.restart}", style="not bold dim")


def _state(status: ChildStatus) -> str:
    """Commits that are not on disk yet are usual in the background; they are shown once a write has failed."""
    return f"{status.state}, {status.unsaved} unsaved" if status.saves_failed and status.unsaved else status.state


def _pid(status: ChildStatus) -> str:
    """Of the process; marked where it is shared by several actors."""
    return f"{status.pid or '-'}{' thread' if status.host == 'thread' else ''}"


def _hand(status: ChildStatus) -> str:
    return f"{status.in_hand} {status.in_hand_seconds:.3f} s" if status.in_hand else ""


def _size(nbytes: int) -> str:
    for unit, size in _UNITS:
        if nbytes >= size:
            return f"{nbytes / size:.4g}{unit}"
    return f"{nbytes}"
