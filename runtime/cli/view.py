"""`understudy ps` and `understudy tree`: what runs, read off the status pages without asking any actor."""

import click

from runtime.cli.output import say, say_json, show
from runtime.cli.show import memory_line, plain, plain_memory, table_of, tree_of
from runtime.cli.system import Doors, attached

_json = click.option("--json", "as_json", is_flag=True, help="As JSON: a list, depth first.")


@click.command()
@click.argument("system", required=False)
@_json
@click.option("--why", metavar="NAME", help="Instead: why that actor, or one below that supervisor, last died.")
@click.option("--memory", "only_memory", is_flag=True, help="Instead: the shared memory of the whole system.")
@click.pass_obj
def ps(doors: Doors, system: str | None, why: str | None, *, only_memory: bool, as_json: bool) -> None:
    """List the actors of a running system (default: the only one that runs)."""
    if why is not None:
        _tell_why(doors, system, why, as_json=as_json)
        return
    with attached(doors, system) as running:
        statuses = [] if only_memory else running.status()
        memory = running.memory()
    if as_json:
        say_json(plain_memory(memory) if only_memory else [plain(status) for status in statuses])
        return
    if not only_memory:
        show(table_of(statuses))
    say(memory_line(memory))


@click.command()
@click.argument("system", required=False)
@_json
@click.pass_obj
def tree(doors: Doors, system: str | None, *, as_json: bool) -> None:
    """Show the supervision tree of a running system (default: the only one that runs)."""
    with attached(doors, system) as running:
        statuses = running.status()
        name = running.name
    if as_json:
        say_json([plain(status) for status in statuses])
    else:
        show(tree_of(name, statuses))


def _tell_why(doors: Doors, system: str | None, name: str, *, as_json: bool) -> None:
    with attached(doors, system) as running:
        certificate = running.why(name)
    if as_json:
        say_json(None if certificate is None else certificate.to_dict())
    else:
        say(f"{name} has not died" if certificate is None else certificate.report())
