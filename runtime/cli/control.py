"""`understudy restart` and `understudy stop`."""

import click

from actors.errors import NotFound
from runtime.cli.output import say
from runtime.cli.system import Doors, attached

_system = click.option("--system", metavar="NAME", help="The system; default: the only one that runs.")


@click.command()
@_system
@click.option("--code", is_flag=True, help="Import its code anew.")
@click.argument("name")
@click.pass_obj
def restart(doors: Doors, name: str, *, system: str | None, code: bool) -> None:
    """Restart an actor, or a supervisor with all below it. No other actor is touched."""
    with attached(doors, system) as running:
        running.restart(name, code=code)
    say(f"restarted {name}")


@click.command()
@_system
@click.argument("name", required=False, default="")
@click.pass_obj
def stop(doors: Doors, name: str, *, system: str | None) -> None:
    """Stop a child, or without NAME the whole system, in reverse order of start."""
    with attached(doors, system) as running:
        try:
            running.stop(name)
        except NotFound as exc:
            if name != running.name:
                raise
            raise NotFound(name, "no such child; the system itself is stopped without a NAME") from exc
        say(f"stopped {name or running.name}")
