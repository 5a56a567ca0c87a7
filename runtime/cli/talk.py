"""`understudy ask` and `understudy tell`: messages from the command line."""

import json
from collections.abc import Iterator
from typing import Any

import click

from actors.deadline import deadline
from actors.errors import ActorDied, ActorError, AskFailed, NoSuchMessage, RemoteError
from runtime.cli.argument import json_text, parse_words
from runtime.cli.outcome import OK, UNANSWERED, code_of
from runtime.cli.output import complain, reserved, say, say_json, say_json_text
from runtime.cli.system import Doors, System, attached

# -1 is a number, not an option; `parse_words` refuses what is neither
_WORDS = {"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]}
_system = click.option("--system", metavar="NAME", help="The system; default: the only one that runs.")
_timeout = click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    help="How long to wait.",
)


@click.command(context_settings=_WORDS)
@_system
@_timeout
@click.option("--json", "as_json", is_flag=True, help="Answer or failure as one JSON object on stdout.")
@click.argument("name")
@click.argument("message")
@click.argument("words", nargs=-1, metavar="[JSON|KEY=JSON]...", type=click.UNPROCESSED)
@click.pass_obj
def ask(  # one for each option
    doors: Doors, name: str, message: str, words: tuple[str, ...], *, system: str | None, timeout: float, as_json: bool
) -> int:
    """Ask an actor and print its answer as JSON (as Python's repr where JSON cannot carry it).

    Arguments are JSON; a word that is not JSON is a string; KEY=JSON is a keyword argument.
    """
    args, kwargs = parse_words(words)
    with reserved(), attached(doors, system) as running, deadline(timeout):
        try:
            reply = _message(running, name, message).ask(*args, **kwargs)
        except ActorError as exc:
            return _failed(exc, f"{name}.{message}", as_json=as_json, is_sent=False)
        try:
            value = reply.result()
        except Exception as exc:  # a handler may raise anything, and it arrives as itself
            return _failed(exc, f"{name}.{message}", as_json=as_json, is_sent=True)
    text = json_text(value)
    if as_json:
        say_json_text(json.dumps({"repr": repr(value)}) if text is None else f'{{"value": {text}}}')
    elif text is None:
        say(repr(value))
    else:
        say_json_text(text)
    return OK


@click.command(context_settings=_WORDS)
@_system
@_timeout
@click.argument("name")
@click.argument("message")
@click.argument("words", nargs=-1, metavar="[JSON|KEY=JSON]...", type=click.UNPROCESSED)
@click.pass_obj
def tell(  # one for each option
    doors: Doors, name: str, message: str, words: tuple[str, ...], *, system: str | None, timeout: float
) -> int:
    """Send a message without waiting for an answer; waits for room in the mailbox. Arguments as for `ask`."""
    args, kwargs = parse_words(words)
    with attached(doors, system) as running, deadline(timeout):
        try:
            _message(running, name, message).tell(*args, **kwargs)
        except ActorError as exc:
            return _failed(exc, f"{name}.{message}", as_json=False, is_sent=False)
    return OK


def _message(running: System, name: str, message: str) -> Any:
    """The message of that actor; what begins with `_` is Python's own, of the reference and not of the actor."""
    if message.startswith("_"):
        raise NoSuchMessage(f"{name}: the actor has no message {message!r}")
    return getattr(running[name], message)


def _failed(exc: Exception, message: str, *, as_json: bool, is_sent: bool) -> int:
    """Print why no value came: our own errors with their verdict, all others as raised by the handler."""
    is_ours = isinstance(exc, ActorError) and not isinstance(exc, RemoteError)
    if as_json:
        say_json(dict(_details(exc, is_sent=is_sent)))
    elif is_ours:
        complain(f"error: {exc}")
    else:
        kind = "" if isinstance(exc, RemoteError) else f"{type(exc).__name__}: "
        complain(f"error: {message} raised {kind}{exc} (delivered: done)")
    return _code(exc)


def _code(exc: Exception) -> int:
    if isinstance(exc, ActorError) and not isinstance(exc, AskFailed | RemoteError):
        return code_of(exc)
    return UNANSWERED


def _details(exc: Exception, *, is_sent: bool) -> Iterator[tuple[str, Any]]:
    yield "error", exc.type_path if isinstance(exc, RemoteError) else type(exc).__name__
    yield "message", exc.text if isinstance(exc, RemoteError) else str(exc)
    match exc:
        case AskFailed():
            yield "delivered", exc.delivered
        case _ if not is_sent:
            yield "delivered", "no"
        case ActorError() if not isinstance(exc, RemoteError):  # the actor's refusal, or what its handler raised
            yield "delivered", "unknown"
        case _:
            yield "delivered", "done"
    if isinstance(exc, ActorDied):
        yield "certificate", exc.certificate.to_dict()
