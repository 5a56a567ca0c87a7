"""`understudy version`."""

import importlib.metadata
import platform

import click

from runtime.cli.output import say, say_json


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As a JSON object.")
def version(*, as_json: bool) -> None:
    """Print the versions of Understudy and Python."""
    versions = {"understudy": _installed(), "python": platform.python_version(), "system": platform.platform()}
    if as_json:
        say_json(versions)
    else:
        say(f"understudy {versions['understudy']} (Python {versions['python']}, {versions['system']})")


def _installed() -> str:
    try:
        return importlib.metadata.version("understudy")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"  # run from a checkout that is merely on the path
