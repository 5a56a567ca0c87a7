"""The machine that runs actors: processes, mailboxes, supervision."""

from pathlib import Path

import actors

if Path(actors.__file__ or "").parent.parent != Path(__file__).parent.parent:  # else: an error about a missing name
    raise ImportError(f"{actors.__file__}: rename it: Understudy's own package is called actors")

from actors.letter import Letter
from runtime.client import Client, Supervisor, connect, systems
from runtime.facade import AsyncHandle, AsyncSupervisor
from runtime.handle import Handle
from runtime.wire.answer import Change, ChildStatus, Ending, MemoryStatus

__all__ = [
    "AsyncHandle",
    "AsyncSupervisor",
    "Change",
    "ChildStatus",
    "Client",
    "Ending",
    "Handle",
    "Letter",
    "MemoryStatus",
    "Supervisor",
    "connect",
    "systems",
]
