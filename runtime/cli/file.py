"""`understudy check` and `understudy schema`: configuration files, with nothing started."""

import json
from pathlib import Path

import click

from actors.child import Tree
from actors.errors import ConfigError
from runtime.cli.outcome import OK, USAGE
from runtime.cli.output import complain, reserved, say, say_json, say_json_text
from runtime.config import json_schema, load


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The problems as a JSON object on stdout.")
def check(file: Path, *, as_json: bool) -> int:
    """Check a configuration file, the classes it names included. Nothing is started.

    Exits 0, or 2 with a line `file:line: key: expected …, got …` per problem.
    """
    try:
        with reserved(only_if=as_json):
            config = load(file)
    except ConfigError as exc:
        if as_json:
            say_json({"file": str(file), "problems": exc.problems})
        else:
            complain(str(exc))
        return USAGE
    if as_json:
        say_json({"file": str(file), "problems": [], "name": config.name})
    else:
        say(f"{file}: ok: system {config.name}, {_actors_in(config.tree)} actor(s)")
    return OK


@click.command()
def schema() -> None:
    """Print the JSON schema of configuration files, for editors."""
    say_json_text(json.dumps(json_schema(), indent=2, ensure_ascii=False))


def _actors_in(tree: Tree) -> int:
    return sum(_actors_in(child) if isinstance(child, Tree) else 1 for child in tree.children.values())
