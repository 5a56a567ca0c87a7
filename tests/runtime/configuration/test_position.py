"""The lines that the scanner finds are those on which the keys stand."""

import tomllib
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.configuration.position import Path, line_of, positions_of

_unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
_NASTY = st.sampled_from(
    [
        '"""\n[not.a.table]\nnot_a_key = 1\n"""',
        "'''\n# no comment\n[[neither]]\n'''",
        '"""ends in quotes"""""',
        "'''ends in quotes''''",
        r'"a \" quote = 1"',
        "'a # mark'",
        '""',
        "''",
        '""""""',
        "1979-05-27 07:32:00",
        "3.14",
        "true",
    ]
)
_KEY = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{1,4}", fullmatch=True),
    st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=4),
)
_FILLING = st.sampled_from(["", "# a comment = [\n", "\n\n", " \t\n"])


class _Writer:
    """Writes a document in which every leaf's value is the line its key, or it as an element, begins on."""

    def __init__(self, data: st.DataObject) -> None:
        self.text = ""
        self.data = data

    @property
    def line(self) -> int:
        return self.text.count("\n") + 1

    def write(self, text: str) -> None:
        self.text += text

    def key(self, key: str) -> str:
        bare = key and all(letter.isalnum() or letter in "_-" for letter in key)
        if bare and self.data.draw(st.booleans()):
            return key
        if "'" not in key and self.data.draw(st.booleans()):
            return f"'{key}'"
        return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'

    def value(self, depth: int, *, is_one_line: bool) -> None:
        kind = self.data.draw(st.sampled_from(["leaf", "leaf", "array", "inline"] if depth else ["leaf"]))
        match kind:
            case "array":
                self.array(depth, is_one_line=is_one_line)
            case "inline":
                self.inline(depth)
            case _:
                self.write(str(self.line))

    def array(self, depth: int, *, is_one_line: bool) -> None:
        self.write("[")
        for _ in range(self.data.draw(st.integers(0, 3))):
            self.write(" " if is_one_line else self.data.draw(st.sampled_from([" ", "\n", " # ]\n\n"])))
            self.value(depth - 1, is_one_line=is_one_line)
            self.write(",")
        self.write("]")

    def inline(self, depth: int) -> None:
        keys = self.data.draw(st.lists(_KEY, max_size=3, unique=True))
        self.write("{")
        for index, key in enumerate(keys):
            self.write(", " if index else " ")
            self.write(f"{self.key(key)} = ")
            self.value(depth - 1, is_one_line=True)
        self.write("}")

    def pairs(self, keys: list[str]) -> None:
        for key in keys:
            self.write(self.data.draw(_FILLING))
            dots = self.data.draw(st.lists(_KEY, max_size=2))
            self.write(" . ".join(self.key(part) for part in [key, *dots]) + " =")
            self.value(2, is_one_line=False)
            self.write(self.data.draw(st.sampled_from(["\n", "  # done\n"])))
            self.write(f"{self.key('string ' + key)} = {self.data.draw(_NASTY)}\n")

    def document(self) -> str:
        keys = self.data.draw(st.lists(_KEY, max_size=6, unique=True))
        cut = self.data.draw(st.integers(0, len(keys)))
        self.pairs(keys[:cut])
        for key in keys[cut:]:
            is_array = self.data.draw(st.booleans())
            for _ in range(self.data.draw(st.integers(1, 2)) if is_array else 1):
                name = self.key(key)
                self.write(f"[[ {name} ]]\n" if is_array else f"[{name}]\n")
                self.pairs(self.data.draw(st.lists(_KEY.filter(lambda word: word != "sub"), max_size=2, unique=True)))
                self.write(f"[ {name} . sub ]  # inside the newest\n")
                self.pairs(self.data.draw(st.lists(_KEY, max_size=2, unique=True)))
        return self.text


def leaves(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    match value:
        case dict():
            for key, inner in value.items():
                yield from leaves(inner, (*path, key))
        case list():
            for index, inner in enumerate(value):
                yield from leaves(inner, (*path, index))
        case _:
            yield path, value


def paths(value: object, path: Path = ()) -> Iterator[Path]:
    if path:
        yield path
    match value:
        case dict():
            for key, inner in value.items():
                yield from paths(inner, (*path, key))
        case list():
            for index, inner in enumerate(value):
                yield from paths(inner, (*path, index))
        case _:
            return


@_unhurried
@given(st.data())
def test_every_value_of_a_generated_document_is_found_on_the_line_it_was_written_on(data: st.DataObject) -> None:
    text = _Writer(data).document()
    table = tomllib.loads(text)

    found = positions_of(text)

    numbers = {path: value for path, value in leaves(table) if type(value) is int}
    assert {path: found[path] for path in numbers} == numbers


@_unhurried
@given(st.data())
def test_the_scanner_finds_exactly_the_paths_that_tomllib_finds(data: st.DataObject) -> None:
    text = _Writer(data).document()

    assert set(positions_of(text)) == set(paths(tomllib.loads(text)))


def test_keys_come_in_the_order_of_first_mention() -> None:
    text = "[b.x]\n[a]\n[b]\n[c]\n"

    tables = [path for path in positions_of(text) if len(path) == 1]

    assert tables == [("b",), ("a",), ("c",)]
    assert list(tomllib.loads(text)) == ["b", "a", "c"]


def test_a_table_stands_at_its_own_header_even_when_mentioned_before() -> None:
    assert positions_of("[a.b]\n\n[a]\n")["a",] == 3


def test_a_table_without_a_header_stands_where_it_is_mentioned_first() -> None:
    assert positions_of("\n[a.b]\n[a.c]\n")["a",] == 2


def test_elements_of_an_array_of_tables_are_counted() -> None:
    found = positions_of("[[a]]\nb = 1\n[[a]]\n[a.c]\n[[a.d]]\ne = 2\n")

    assert found["a", 0, "b"] == 2
    assert found["a", 1] == 3
    assert found["a", 1, "c"] == 4
    assert found["a", 1, "d", 0, "e"] == 6


def test_windows_line_ends_count_once() -> None:
    assert positions_of('a = """x\r\ny"""\r\nb = 1\r\n') == {("a",): 1, ("b",): 3}


@pytest.mark.parametrize("text", ["", "\n", "# nothing", "   \n\t\n"])
def test_a_document_without_keys_has_no_positions(text: str) -> None:
    assert positions_of(text) == {}


def test_what_is_not_in_the_file_has_the_line_of_the_table_around_it() -> None:
    found = positions_of("a = 1\n[children.x]\n")

    assert line_of(("children", "x", "actor"), found) == 2
    assert line_of(("elsewhere",), found) == 1
