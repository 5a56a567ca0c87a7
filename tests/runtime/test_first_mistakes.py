"""What a newcomer gets wrong first, without a type checker: each is named in his own words, before anything starts."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from actors import (
    Actor,
    ActorError,
    BadLayout,
    BadSpec,
    BlockingCall,
    NoSuchSystem,
    Unencodable,
    child,
    dynamic,
    message,
    tree,
)
from runtime import Supervisor, connect, systems

pytestmark = pytest.mark.process


class Clerk(Actor):
    @message
    def greet(self) -> str:
        return "hello"


class Selfish(Actor):
    @message
    def me(self) -> object:
        return self

    @message
    def mine(self) -> object:
        return self.on_stop


@pytest.mark.parametrize("given", [Clerk, Clerk()], ids=["a class", "an instance"])
def test_starting_what_is_no_child_says_what_is_expected(supervisor: Supervisor, given: Any) -> None:
    with pytest.raises(BadSpec, match=r"^clerk: expected child\(…\), tree\(…\) or dynamic\(…\)"):
        supervisor.start(given, name="clerk")


def test_the_class_itself_instead_of_a_child_is_told_how_to_write_it() -> None:
    shapes: list[Any] = [{"clerk": Clerk}, {"group": tree(children={"clerk": Clerk})}, {"group": dynamic(Clerk)}]  # type: ignore[arg-type,dict-item]
    for children in shapes:
        with pytest.raises(BadSpec, match=r"as in child\(Clerk\)"):
            Supervisor(children=children).open()


def test_reloading_with_a_child_says_that_a_tree_is_expected(supervisor: Supervisor) -> None:
    given: Any = child(Clerk)
    with pytest.raises(BadSpec, match=r"expected tree\(…\)"):
        supervisor.reload(given)


def test_options_beside_a_tree_are_refused_and_not_ignored(supervisor: Supervisor) -> None:
    start: Any = supervisor.start
    with pytest.raises(BadSpec, match=r"^group: expected them in the tree itself, tree\(restart=…\)"):
        start(tree(children={"clerk": child(Clerk)}), name="group", restart="temporary")
    assert supervisor.children() == []


@pytest.mark.parametrize(
    ("request_of", "told"),
    [
        (lambda system: system.drop("x"), r"^DropLetter: Expected `int`, got `str`"),
        (lambda system: system.resend(10**30), r"^ResendLetter: "),
        (lambda system: system.delete("\ud800"), r"^Delete: .*surrogates"),
    ],
    ids=["a word", "a number", "no text"],
)
def test_a_request_that_cannot_be_made_is_told_and_the_next_one_works(
    supervisor: Supervisor, request_of: Any, told: str
) -> None:
    with pytest.raises(TypeError, match=told):
        request_of(supervisor)
    assert supervisor.children() == []


def test_a_path_that_is_no_text_is_told_to_who_asks(supervisor: Supervisor) -> None:
    supervisor.start(child(Clerk), name="clerk")
    with pytest.raises(ActorError, match="surrogates"):
        supervisor.ref("\ud800", Clerk).greet()
    assert supervisor.ref("clerk", Clerk).greet() == "hello"


def test_a_program_may_have_two_systems_without_a_name(runtime_directory: Path) -> None:
    with Supervisor(children={"clerk": child(Clerk)}) as first, Supervisor() as second:
        assert first.name != second.name
        assert first.ref("clerk", Clerk).greet() == "hello"


def test_a_name_that_no_system_can_have_is_a_bad_spec() -> None:
    with pytest.raises(BadSpec, match=r"expected a name like .*, got 'my shop'"):
        Supervisor("my shop").open()


def test_a_size_in_words_is_refused_where_python_takes_bytes() -> None:
    given: Any = "2GiB"
    with pytest.raises(ValueError, match=r"expected bytes, 0 to 2\*\*63 - 1, got '2GiB'"):
        Supervisor("shop", memory=given)


def test_a_region_of_what_is_no_layout_is_refused(supervisor: Supervisor) -> None:
    given: Any = Clerk
    with pytest.raises(BadLayout, match=r"expected a subclass of Layout, got .*Clerk"):
        supervisor.region("prices", given)


@pytest.mark.parametrize("client", [Supervisor("shop"), connect("shop")], ids=["a supervisor", "a client"])
def test_what_was_not_opened_says_so_whatever_it_is_asked_for(client: Any) -> None:
    for use in (lambda: client.start(child(Clerk), name="clerk"), client.status, lambda: client["clerk"]):
        with pytest.raises(NoSuchSystem, match=r"'shop': this \w+ is not open: `with` opens it"):
            use()


def test_a_plain_with_in_an_event_loop_is_refused_before_anything_is_started(nothing_left: Path) -> None:
    async def program() -> None:
        with Supervisor("shop"):
            pass

    with pytest.raises(BlockingCall, match="use `async with`"):
        asyncio.run(program())
    assert "shop" not in systems()


@pytest.mark.parametrize(("name", "where"), [("me", "reply of me()"), ("mine", "reply of mine().__self__")])
def test_an_actor_that_sends_itself_is_told_to_send_its_reference(
    supervisor: Supervisor, name: str, where: str
) -> None:
    selfish: Any = supervisor.start(child(Selfish), name="selfish")

    with pytest.raises(Unencodable) as caught:
        getattr(selfish, name)()

    assert str(caught.value).startswith(f"{where}: expected a value that can be pickled, got ")
    assert str(caught.value).endswith("Selfish, which is an actor: send its reference, `self.context.ref`")


def test_a_prompt_shows_systems_supervisors_and_replies_by_name(supervisor: Supervisor) -> None:
    group = supervisor.start(tree(children={"clerk": child(Clerk)}), name="group")
    reply = supervisor.ref("group.clerk", Clerk).greet.ask()
    reply.result(timeout=5)

    assert repr(supervisor) == f"<Supervisor {supervisor.name!r}>"
    assert repr(group) == f"<supervisor 'group' in {supervisor.name!r}>"
    assert repr(reply) == "<reply of 'group.clerk', answered>"
    assert repr(Supervisor("shop")) == "<Supervisor 'shop', closed>"


def test_an_option_that_does_not_exist_is_told_with_those_that_do() -> None:
    with pytest.raises(BadSpec, match=r"there is no option 'restrat'; expected .*restart"):
        child(Clerk).options(restrat="temporary")  # type: ignore[call-arg]
