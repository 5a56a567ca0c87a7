"""`@message`: what it marks, what it refuses, and the table it makes of a class."""

import pytest

from actors import Actor, BadActor, BoundMessage, message
from actors.message import MessageOptions, messages_of, options_of


class Base(Actor):
    @message
    def one(self, n: int = 1, *, loud: bool = False) -> int:
        return n

    @message
    async def two(self, text: str) -> str:
        return text

    def plain(self) -> None:
        """No message."""


def test_a_marked_method_stays_a_plain_method():
    assert Base().one(3) == 3
    assert options_of(Base.one) == MessageOptions()
    assert options_of(Base.plain) is None
    assert options_of(3) is None


def test_options_are_kept_as_given():
    @message(retry=3, concurrent=True, urgent=True, watchdog=30.0, snapshot=False)
    async def handler(self):
        """One with everything."""

    assert options_of(handler) == MessageOptions(3, True, True, 30.0, False)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"again": 3}, r"got \['again'\]"),
        ({"retry": -1}, "retry"),
        ({"retry": 101}, "retry"),
        ({"retry": 1.5}, "retry"),
        ({"retry": True}, "retry"),
        ({"watchdog": 0}, "watchdog"),
        ({"watchdog": -1.0}, "watchdog"),
    ],
)
def test_an_option_that_cannot_be_is_refused(options, says):
    with pytest.raises(BadActor, match=says):
        message(**options)


def test_the_table_says_name_kind_and_signature():
    table = messages_of(Base)

    assert list(table) == ["one", "two"]
    assert table["one"].signature == "(n: int = 1, *, loud: bool = False) -> int"
    assert (table["one"].is_async, table["two"].is_async) == (False, True)


def test_a_table_cannot_be_changed():
    with pytest.raises(TypeError):
        messages_of(Base)["three"] = messages_of(Base)["one"]


def test_messages_are_inherited_and_overridden_with_their_options():
    class Derived(Base):
        @message(retry=2)
        def one(self, n: int = 1, *, loud: bool = False) -> int:
            return super().one(n) + 1

    assert list(messages_of(Derived)) == ["one", "two"]
    assert messages_of(Derived)["one"].options.retry == 2
    assert Derived().one(1) == 2
    assert messages_of(Base)["one"].options.retry == 0


def test_an_override_without_the_mark_is_no_message_any_more():
    class Silent(Base):
        def one(self, n: int = 1, *, loud: bool = False) -> int:
            return n

    assert list(messages_of(Silent)) == ["two"]


def test_messages_of_a_mix_in_that_is_no_actor_count():
    class Pausing:
        @message
        def pause(self) -> None:
            """Not an actor's own."""

    class Mixed(Pausing, Base):
        pass

    assert set(messages_of(Mixed)) == {"one", "two", "pause"}


def test_an_attribute_that_hides_a_message_hides_it():
    class Hidden(Base):
        one = None

    assert list(messages_of(Hidden)) == ["two"]


@pytest.mark.parametrize("wrap", [staticmethod, classmethod, property])
def test_what_is_no_method_with_self_is_refused_by_the_mark(wrap):
    with pytest.raises(BadActor, match=wrap.__name__):
        message(wrap(lambda self: None))


@pytest.mark.parametrize("wrap", [staticmethod, classmethod])
def test_a_marked_function_that_is_made_static_is_refused_at_class_creation(wrap):
    with pytest.raises(BadActor, match=r"Odd\.go"):
        type("Odd", (Actor,), {"go": wrap(message(lambda self: None))})


@pytest.mark.parametrize(
    "name", ["context", "on_start", "on_stop", "on_down", "on_error", "snapshot", "restore", "__len__", "__init__"]
)
def test_dunders_and_names_of_actor_are_refused_at_class_creation(name):
    with pytest.raises(BadActor, match=name):
        type("Odd", (Actor,), {name: message(lambda self: None)})


def test_what_is_not_callable_is_refused():
    with pytest.raises(BadActor):
        message(3)


def test_a_bound_message_hands_each_way_of_speaking_on():
    seen = []

    def way(kind):
        return lambda *args, **kwargs: seen.append((kind, args, kwargs)) or kind

    bound = BoundMessage("add", way("call"), way("ask"), way(None), way("send"))

    assert (bound(1, k=2), bound.ask(1), bound.tell(1), bound.send(1)) == ("call", "ask", None, "send")
    assert seen[0] == ("call", (1,), {"k": 2})
    assert repr(bound) == "<message add>"
