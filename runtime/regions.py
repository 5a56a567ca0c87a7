"""The regions of a system, as one process has them: asked of the supervisor, which holds their memory, by name.

    region("prices", Prices) ─▶ MakeRegion, the layout as text ─▶ a memfd ─▶ mapped here, layouts compared here

RS-1  The supervisor learns of a layout what its description says, and never imports or unpickles one.
RS-2  A name that is taken gives the region that is there: whoever asks first makes it.
"""

import os
from collections.abc import Callable
from typing import Any, TypeVar

from actors.layout import Layout, shape_of
from actors.region import Writers
from runtime.memory.lock import Holder
from runtime.memory.region import Region, described
from runtime.wire.control import MakeRegion, OpenRegion
from runtime.wire.line import Lines

L = TypeVar("L", bound=Layout)

OwnerDied = Callable[[str, Holder | None], None]


class Regions:
    """Opens regions for one process; keeps none of them."""

    def __init__(self, lines: Lines, system: str, holder: str = "", owner_died: OwnerDied | None = None) -> None:
        """Open regions of a system.

        Args:
            lines: to its supervisor.
            system: its name.
            holder: what this process is called while it holds a lock: an actor's path.
            owner_died: told when a writer had died in a transaction; None: a warning is logged.
        """
        self._lines = lines
        self._system = system
        self._holder = holder
        self._owner_died = owner_died

    def open(self, name: str, layout: type[Layout] | None = None) -> Region[Any]:
        """The region of that name; layout None: one of the same fields is made from its description.

        Raises:
            NotFound: there is none.
            LayoutMismatch: it was made with another layout.
        """
        _, fds = self._lines.request(OpenRegion(name=name))
        return self._mapped(fds, name, layout)

    def make(self, name: str, layout: type[L], writers: Writers | None = None) -> Region[L]:
        """The region of that name, made now if there is none.

        Args:
            writers: None: as it is; "many" when it is made now.
        Raises:
            BadSpec: a name that cannot be.
            LayoutMismatch, RegionError: it is there, with another layout or other writers.
            OutOfMemory: it is larger than what the system's allowance, or the kernel, still has.
        """
        message = MakeRegion(name=name, layout=shape_of(layout).describe(), writers=writers)
        _, fds = self._lines.request(message)
        return self._mapped(fds, name, layout)

    def _mapped(self, fds: list[int], name: str, layout: type[L] | None) -> Region[Any]:
        try:
            kind: type[Any] = Layout.of(described(fds[0], name), name) if layout is None else layout
            return Region(
                fds[0], kind, name=name, holder=self._holder, owner_died=self._owner_died, system=self._system
            )
        finally:
            for fd in fds:
                os.close(fd)
