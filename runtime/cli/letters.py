"""`understudy letters`: messages that nobody handled; what they carried is never shown."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

import click
from rich.table import Table
from rich.text import Text

from actors.letter import Letter
from runtime.cli.output import say, say_json, show
from runtime.cli.system import Doors, attached


@click.command()
@click.option("--system", metavar="NAME", help="The system; default: the only one that runs.")
@click.option("--json", "as_json", is_flag=True, help="As JSON: a list, oldest first.")
@click.option("--resend", metavar="ID", type=int, multiple=True, help="Send this one to its actor again, as a tell.")
@click.option("--drop", metavar="ID", type=int, multiple=True, help="Forget this one.")
@click.argument("name", required=False, default="")
@click.pass_obj
def letters(  # one for each option
    doors: Doors, name: str, resend: tuple[int, ...], drop: tuple[int, ...], *, system: str | None, as_json: bool
) -> None:
    """List the dead letters of an actor, or below a supervisor (default: all), oldest first."""
    with attached(doors, system) as running:
        for number in resend:
            running.resend(number)
            say(f"resent {number}")
        for number in drop:
            running.drop(number)
            say(f"dropped {number}")
        if resend or drop:
            return
        found = running.letters(name)
    if as_json:
        say_json([asdict(letter) for letter in found])
    else:
        show(_table_of(found))


def _table_of(found: Sequence[Letter]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("ID", "BYTES"):
        table.add_column(heading, justify="right")
    for heading in ("WHEN", "ACTOR", "MESSAGE", "WHY"):
        table.add_column(heading)
    for letter in found:
        when = datetime.fromtimestamp(letter.when).astimezone().isoformat(sep=" ", timespec="seconds")
        cells = (str(letter.id), str(letter.nbytes), when, letter.actor, letter.message or "?", letter.why)
        table.add_row(*(Text(cell) for cell in cells))
    return table
