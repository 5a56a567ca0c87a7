"""The machine that runs actors: processes, mailboxes, supervision."""

from runtime.client import Client, Supervisor, connect, systems
from runtime.facade import AsyncHandle, AsyncSupervisor
from runtime.handle import Handle
from runtime.wire.control import ChildStatus, Ending

__all__ = [
    "AsyncHandle",
    "AsyncSupervisor",
    "ChildStatus",
    "Client",
    "Ending",
    "Handle",
    "Supervisor",
    "connect",
    "systems",
]
