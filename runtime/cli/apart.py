"""A reload apart: `understudy reload` in a process of its own, which imports what is on disk now."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec

from runtime.cli.system import Reloaded
from runtime.wire.answer import Change

_MAIN = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); import runtime.cli; sys.exit(runtime.cli.main())"


def reload_apart(file: Path, system: str) -> Reloaded:
    """Apply a file to the running system of that name, with our `sys.path`; what is wrong is said on our stderr."""
    words = ["reload", "--json", "--system", system, str(file)]
    ended = subprocess.run(  # noqa: S603  # our own interpreter and module
        [sys.executable, "-P", "-c", _MAIN, json.dumps(sys.path), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=False,
    )
    answer = json.loads(ended.stdout) if ended.stdout else {"changes": []}
    return Reloaded(ended.returncode, msgspec.convert(answer["changes"], tuple[Change, ...]))
