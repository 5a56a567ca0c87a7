"""The root of the command line: which commands there are, and what becomes of their errors.

A command's module is imported when the command is used: `ps` does not wait for what only `check` needs (pydantic), nor
`version` for a client of running systems. That is done in one place, `_loaded`.

CM-1  Whatever goes wrong is one line `error: …` on stderr (of a configuration: its problem lines) and an exit code of
      `runtime.cli.outcome`. Where nobody reads stdout any more, it ends as SIGPIPE ends other programs: without a line.
"""

import importlib
import sys
from collections.abc import Sequence

import click

from actors.errors import ActorError
from runtime.cli.outcome import FAILED, INTERRUPTED, OK, UNREAD, code_of, text_of
from runtime.cli.output import Unwritable, complain
from runtime.cli.system import Doors
from runtime.process import streams

_COMMANDS = {
    "run": "runtime.cli.run:run",
    "check": "runtime.cli.file:check",
    "schema": "runtime.cli.file:schema",
    "ps": "runtime.cli.view:ps",
    "tree": "runtime.cli.view:tree",
    "ask": "runtime.cli.talk:ask",
    "tell": "runtime.cli.talk:tell",
    "letters": "runtime.cli.letters:letters",
    "restart": "runtime.cli.control:restart",
    "reload": "runtime.cli.reload:reload",
    "stop": "runtime.cli.control:stop",
    "version": "runtime.cli.version:version",
}
_DOORS = "runtime.cli.doors:DOORS"


def main(args: Sequence[str] | None = None, *, doors: Doors | None = None) -> int:
    """Run one command.

    Args:
        args: without the program's name; None: those of this process.
        doors: how systems are reached; None: as they are on this machine.
    Returns:
        the exit code.
    """
    streams.stand_in()
    words = list(sys.argv[1:] if args is None else args) or ["--help"]
    try:
        return _run(words, doors)
    except Unwritable as exc:
        if exc.is_unread():
            return UNREAD
        complain(f"error: {exc}")
        return FAILED


def _run(words: Sequence[str], doors: Doors | None) -> int:
    """CM-1."""
    try:
        code = _understudy.main(list(words), prog_name="understudy", standalone_mode=False, obj=doors)
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as exc:
        complain(f"error: {exc.format_message()}")
        return exc.exit_code
    except ActorError as exc:
        complain(text_of(exc))
        return code_of(exc)
    return code if isinstance(code, int) else OK


class _Commands(click.Group):
    """A group whose commands are imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        where = _COMMANDS.get(cmd_name)
        if where is None:
            return None
        command = _loaded(where)
        return command if isinstance(command, click.Command) else None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def _understudy(ctx: click.Context) -> None:
    """Actors as processes, under a supervisor.

    \b
    Exit codes: 0 ok; 1 the system failed or gave up; 2 bad usage or configuration;
    3 no such system or child, or it is not running; 4 the message failed;
    130, 143, 129 after Ctrl-C, SIGTERM, SIGHUP; 141 when nobody reads its output.
    """  # noqa: D301  # the backspace is what click knows a block by that it must not rewrap
    if ctx.obj is None and ctx.invoked_subcommand in _TALKING:
        ctx.obj = _loaded(_DOORS)


_TALKING = _COMMANDS.keys() - {"check", "schema", "version"}


def _loaded(where: str) -> object:
    module, _, name = where.partition(":")
    loaded: object = getattr(importlib.import_module(module), name)
    return loaded
