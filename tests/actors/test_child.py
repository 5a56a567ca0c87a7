"""Child specifications: data, checked where they are written."""

import pytest

from actors import Actor, Backoff, BadActor, BadSpec, Mailbox, child, dynamic, tree
from actors.child import Child, ChildOptions, Tree, checked_name, is_actor


class Counter(Actor):
    def __init__(self, start: int = 0, *, step: int = 1) -> None:
        self.value = start


def test_a_child_keeps_the_class_and_the_constructors_arguments():
    spec = child(Counter, 10, step=2)

    assert (spec.actor, spec.args, spec.kwargs) == (Counter, (10,), {"step": 2})
    assert spec.settings == ChildOptions()


@pytest.mark.parametrize("candidate", [int, len, object(), Counter()])
def test_what_is_no_actor_class_is_refused(candidate):
    assert not is_actor(candidate)
    with pytest.raises(BadActor, match="subclass of Actor"):
        child(candidate)


@pytest.mark.parametrize(("args", "kwargs"), [((1, 2), {}), ((), {"stop": 1})])
def test_arguments_that_the_constructor_does_not_take_are_refused_at_once(args, kwargs):
    with pytest.raises(BadActor, match="Counter"):
        child(Counter, *args, **kwargs)


def test_options_return_a_new_child_and_leave_what_is_none():
    first = child(Counter, 10)
    second = first.options(restart="transient", replicas=4)
    third = second.options(shutdown="kill")

    assert first.settings == ChildOptions()
    assert third.settings == ChildOptions(restart="transient", replicas=4, shutdown="kill")
    assert third.args == (10,)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"restart": "always"}, "invalid_restart_type"),
        ({"shutdown": "never"}, "invalid_shutdown"),
        ({"shutdown": -1}, "invalid_shutdown"),
        ({"shutdown": True}, "invalid_shutdown"),
        ({"ready": 0}, "invalid_ready"),
        ({"ready": "5s"}, "invalid_ready"),
        ({"on_raise": "explode"}, "invalid_on_raise"),
        ({"replicas": 0}, "invalid_replicas"),
        ({"replicas": 1025}, "invalid_replicas"),
        ({"replicas": 1.5}, "invalid_replicas"),
        ({"replicas": True}, "invalid_replicas"),
        ({"understudies": True}, "invalid_understudies"),
        ({"drain": "later"}, "invalid_drain"),
        ({"understudies": -1}, "invalid_understudies"),
        ({"understudies": 65}, "invalid_understudies"),
        ({"durable_every": 2.0}, "invalid_durable_every"),
        ({"mailbox": Mailbox(size=100)}, "invalid_mailbox"),
        ({"mailbox": Mailbox(size=1 << 21)}, "invalid_mailbox"),
        ({"mailbox": Mailbox(when_full="drop")}, "invalid_mailbox"),
    ],
)
def test_an_option_that_cannot_be_is_refused_with_otps_word(options, what):
    with pytest.raises(BadSpec) as info:
        child(Counter).options(**options)

    assert info.value.what == what
    assert info.value.name == "Counter"


@pytest.mark.parametrize(
    "options",
    [
        {"shutdown": 0},
        {"shutdown": "infinity"},
        {"shutdown": "kill"},
        {"ready": 0.1},
        {"replicas": 1024},
        {"understudies": 64},
        {"drain": "discard"},
        {"on_raise": "crash"},
        {"mailbox": Mailbox(4096, "refuse")},
    ],
)
def test_options_at_their_limits_are_taken(options):
    settings = child(Counter).options(**options).settings

    assert all(getattr(settings, key) == value for key, value in options.items())


def test_a_tree_keeps_its_children_in_order():
    specs = {"b": child(Counter), "a": tree()}
    spec = tree(strategy="rest_for_one", children=specs, max_restarts=1, backoff=None, auto_shutdown="any_significant")
    specs.clear()

    assert list(spec.children) == ["b", "a"]
    assert (spec.strategy, spec.max_restarts, spec.backoff) == ("rest_for_one", 1, None)
    assert spec.template is None


def test_a_trees_defaults_are_elixirs_and_ours():
    assert tree() == Tree()
    assert (Tree().max_restarts, Tree().max_seconds, Tree().strategy) == (3, 5.0, "one_for_one")
    assert Tree().backoff == Backoff(first=0.1, most=30.0, jitter=0.2)
    assert Tree().shutdown == "infinity"


def test_a_dynamic_supervisor_has_a_template_and_no_children():
    spec = dynamic(child(Counter, 1), max_children=500, restart="transient")

    assert isinstance(spec.template, Child)
    assert (spec.max_children, dict(spec.children), spec.restart) == (500, {}, "transient")


@pytest.mark.parametrize("name", ["a", "_a", "A-1", "a" * 64, "payments_2-b"])
def test_names_are_letters_digits_underscores_and_dashes(name):
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", "1a", "-a", "a.b", "a b", "ä", "a" * 65, "a\n", None, 3])
def test_a_name_that_cannot_be_is_refused(name):
    with pytest.raises(BadSpec) as info:
        checked_name(name)

    assert info.value.what == "invalid_name"
