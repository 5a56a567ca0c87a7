"""`understudy reload`: the running system becomes what its file says now; only what has changed is touched.

The file is read and its classes are imported by this command's own process, so they are checked as they are on disk
now. `understudy run`, which imported them long ago, has the same done by a process of its own when it gets SIGHUP.
"""

from pathlib import Path

import click
import msgspec

from runtime.cli.outcome import FAILED, OK
from runtime.cli.output import complain, reserved, say, say_json, show
from runtime.cli.show import table_of_changes
from runtime.cli.system import Doors, attached
from runtime.config import load


@click.command()
@click.option("--system", metavar="NAME", help="The system; default: the one that the file names.")
@click.option("--json", "as_json", is_flag=True, help="What was done as a JSON object on stdout.")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def reload(doors: Doors, file: Path, *, system: str | None, as_json: bool) -> int:
    """Apply a changed configuration file to the running system.

    Removed actors stop, changed ones restart one by one with their queues, new ones start, all others are not touched.
    A faulty file changes nothing (exit 2); where something could not be started, the rest is done (exit 1).
    """
    with reserved(only_if=as_json):
        config = load(file)
    with attached(doors, system or config.name) as running:
        changes = running.reload(config.tree, path=config.path)
        name = running.name
    if as_json:
        plain = [msgspec.structs.asdict(change) for change in changes]
        say_json({"system": name, "changes": plain})
    elif changes:
        show(table_of_changes(changes))
    else:
        say(f"{name}: nothing has changed")
    failed = [change for change in changes if change.error]
    for change in failed:
        complain(f"error: {change.path}: {change.error}")
    return FAILED if failed else OK
