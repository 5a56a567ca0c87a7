"""The doors to the systems of this machine: the one place where the command line touches the client."""

import sys
from collections.abc import Sequence

from actors.child import Tree
from runtime.cli.apart import reload_apart
from runtime.cli.system import Doors, System
from runtime.client import Supervisor, connect, systems


def _supervisor(name: str, tree: Tree, path: Sequence[str]) -> System:
    return Supervisor(name, tree=tree, path=list(dict.fromkeys([*path, *sys.path])))


DOORS = Doors(_supervisor, connect, systems, reload_apart)
