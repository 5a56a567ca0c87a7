"""Every error: picklable, under one root, drawn as it is."""

import inspect
import pickle
import re

import pytest

import actors
from actors import errors
from actors.certificate import DeathCertificate
from actors.errors import ActorError

CERTIFICATE = DeathCertificate("a.b", 1, 7, "run", "exception", exit_code=1, traceback="Traceback\nValueError: x\n")
CLASSES = {
    name: kind
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and issubclass(kind, ActorError) and kind.__module__ == errors.__name__
}
SPECIAL = {
    "AskCycle": (("a", "b", "a"),),
    "ActorDied": (CERTIFICATE, "started"),
    "Unencodable": ("add() argument 1", "a lock"),
    "RemoteError": ("shop.Sold", "out", (1, "a"), ("note",), "Traceback"),
    "BadSpec": ("a", "invalid_name", "got 3"),
    "StartFailed": ("a", "detail", CERTIFICATE),
    "RegionBusy": ("prices", "inventory (pid 4711)", 1.5),
    "SecondWriter": ("prices", "inventory (pid 4711)"),
    "OutOfMemory": (100, 10, "region prices"),
    "AlreadyRunning": ("shop", 4711),
    "NoSuchSystem": ("shop", "never started"),
    "ConfigError": (("a.toml:1: name: expected a name, got 3", "a.toml:2: x"),),
}


def instance(kind: type[ActorError]) -> ActorError:
    if kind.__name__ in SPECIAL:
        return kind(*SPECIAL[kind.__name__])
    if issubclass(kind, errors.AskFailed):
        return kind("a.b", "no", "detail")
    if issubclass(kind, errors.SupervisionError):
        return kind("a.b", "detail")
    return kind("what, where, expected, got")


@pytest.mark.parametrize("kind", CLASSES.values(), ids=CLASSES)
@pytest.mark.parametrize("protocol", [2, 5])
def test_every_error_survives_pickling(kind, protocol):
    error = instance(kind)
    error.add_note("a note")

    arrived = pickle.loads(pickle.dumps(error, protocol))

    assert type(arrived) is kind
    assert arrived.__dict__ == error.__dict__
    assert (arrived.args, str(arrived)) == (error.args, str(error))


@pytest.mark.parametrize("kind", CLASSES.values(), ids=CLASSES)
def test_every_error_says_something_in_one_go(kind):
    assert str(instance(kind)).strip()


def test_a_failure_of_a_handler_keeps_its_cause_when_it_travels():
    failed = errors.of_handler("shop", errors.ActorStopped("mailer", "no", "stopped for good"))

    arrived = pickle.loads(pickle.dumps(errors.of_handler("front", failed)))

    assert [arrived.actor, arrived.__cause__.actor, arrived.__cause__.__cause__.actor] == ["front", "shop", "mailer"]
    assert str(arrived.__cause__) == (
        "shop (delivered: started): its handler failed: ActorStopped: mailer: stopped for good (delivered: no)"
    )


def test_what_a_handler_raises_that_is_no_failed_ask_stays_what_it_is():
    error = ValueError("no such tea")

    assert errors.of_handler("shop", error) is error


def test_every_error_is_public():
    assert {name for name in CLASSES if not hasattr(actors, name)} == set()


def test_the_tree_in_the_docstring_is_the_real_one():
    assert drawn() == {
        name: next(base.__name__ for base in kind.__bases__ if issubclass(base, Exception))
        for name, kind in CLASSES.items()
        if kind is not ActorError
    }


def test_the_other_bases_in_the_docstring_are_the_real_ones():
    said = dict(re.findall(r"── (\w+)\s+(?:… )?\((\w+)\)", str(errors.__doc__)))
    real = {
        name: base.__name__
        for name, kind in CLASSES.items()
        for base in kind.__bases__
        if not issubclass(base, ActorError) and base is not Exception
    }
    assert {name: real.get(name) for name in said} == said
    assert set(real) - set(said) <= {"BadSpec"}  # drawn in a row, without room for words


def drawn() -> dict[str, str]:
    """Name → name of its parent, as the docstring draws it."""
    parents: dict[str, str] = {}
    above: dict[int, str] = {}
    for line in str(errors.__doc__).splitlines():
        if line.strip() == "ActorError":
            above[0] = "ActorError"
        for branch in re.finditer(r"[├└]── (\w+)", line):
            depth = 1 if line.index(line.strip()[0]) == branch.start() else 2
            above[depth] = branch.group(1)
            parents[branch.group(1)] = above[depth - 1]
    return parents


def test_errors_of_an_ask_say_how_far_the_message_got():
    died = errors.ActorDied(CERTIFICATE, "started")

    assert died.actor == "a.b"
    assert str(died) == "a.b #1 (pid 7) died: ValueError: x (delivered: started)"
    assert str(errors.MailboxFull("a.b", "no", "full")) == "a.b: full (delivered: no)"
    assert str(errors.SystemGone("a.b", "unknown")) == "a.b (delivered: unknown)"


def test_a_failed_start_shows_the_traceback_of_its_certificate():
    assert str(errors.StartFailed("a.b", "", CERTIFICATE)).endswith("ValueError: x")
    assert str(errors.StartFailed("a.b", "no room")) == "a.b: no room"


def test_an_ask_cycle_shows_its_path():
    assert str(errors.AskCycle(("a", "b", "a"))) == "a → b → a"


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.DeadlineExceeded, TimeoutError),
        (errors.NotAMessage, AttributeError),
        (errors.NoSuchMessage, AttributeError),
        (errors.BadActor, TypeError),
        (errors.Unencodable, TypeError),
        (errors.BlockingCall, RuntimeError),
        (errors.BadSpec, ValueError),
        (errors.ConfigError, ValueError),
    ],
)
def test_errors_are_also_what_python_would_raise(kind, builtin):
    assert issubclass(kind, builtin)
