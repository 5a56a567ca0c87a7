"""The base class: its context, its keyword, its hooks."""

import pytest

from actors import Actor, BadActor, DeathCertificate, Down, NoContext, message


class Plain(Actor):
    def __init__(self) -> None:
        self.seen = 1


def test_an_instance_made_by_hand_has_no_context():
    with pytest.raises(NoContext, match="Plain"):
        Plain().context  # noqa: B018


def test_on_raise_is_a_class_keyword_and_inherited():
    class Strict(Actor, on_raise="crash"):
        pass

    class Stricter(Strict):
        pass

    class Lax(Strict, on_raise="survive"):
        pass

    kinds = [kind.__on_raise__ for kind in (Plain, Strict, Stricter, Lax)]
    assert kinds == ["survive", "crash", "crash", "survive"]


def test_another_on_raise_is_refused():
    with pytest.raises(BadActor, match="explode"):
        type("Odd", (Actor,), {}, on_raise="explode")


def test_hooks_do_nothing_by_default():
    actor = Plain()

    assert actor.on_start() is actor.on_stop("normal") is actor.on_error(ValueError()) is None
    assert actor.on_down(Down("a", "stopped")) is None


def test_a_down_says_who_and_why():
    certificate = DeathCertificate("a.b", 1, 7, "run", "signal", signal="SIGKILL")
    down = Down("a.b", "SIGKILL", certificate)

    assert (down.name, down.reason, down.certificate) == ("a.b", "SIGKILL", certificate)
    assert repr(down) == "Down('a.b', 'SIGKILL')"


def test_a_plain_def_cannot_be_concurrent() -> None:
    with pytest.raises(BadActor, match=r"Clerk\.count: expected async def beside concurrent=True, got def"):

        class Clerk(Actor):
            @message(concurrent=True)
            def count(self) -> int:
                return 1
