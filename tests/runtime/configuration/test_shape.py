"""The JSON schema says what `load` does, and the reference page has every key."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.child import ChildOptions
from runtime.config import json_schema
from tests.runtime.configuration.samples import BROKEN, GOOD


def _tables_of(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    yield from schema["$defs"].values()


def test_the_schema_describes_every_key_and_gives_its_default() -> None:
    without_default = {"actor", "children", "template", "max_children", "name", "on_raise", "layout"}
    without_default |= {"watchdog", "heartbeat", "limits", "max_rss", "max_messages", "max_age", "durable", "memory"}

    for table in _tables_of(json_schema()):
        assert table["additionalProperties"] is False
        for key, declared in table["properties"].items():
            assert declared["description"]
            assert ("default" in declared) == (key not in without_default)


def test_the_schema_has_every_option_of_a_child_with_the_default_of_python() -> None:
    actor = json_schema()["$defs"]["WorkerTable"]["properties"]
    options = ChildOptions()

    assert actor.keys() - {"actor", "args", "kwargs"} == set(ChildOptions.__slots__)
    without_default = {"on_raise", "watchdog", "heartbeat", "limits", "durable"}
    for key in actor.keys() - {"actor", "args", "kwargs", "mailbox"} - without_default:
        assert actor[key]["default"] == getattr(options, key)


def test_the_schema_is_json_without_null() -> None:
    assert "null" not in json.dumps(json_schema())


def _fits(value: object, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """As much of JSON schema as ours uses."""
    if "$ref" in schema:
        return _fits(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    kinds: dict[str, type | tuple[type, ...]] = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "array": list,
        "object": dict,
    }
    checks = [
        "type" not in schema or isinstance(value, kinds[schema["type"]]),
        "enum" not in schema or value in schema["enum"],
        "const" not in schema or value == schema["const"],
        "pattern" not in schema or (isinstance(value, str) and re.search(schema["pattern"], value)),
        "minimum" not in schema or (isinstance(value, int | float) and value >= schema["minimum"]),
        "anyOf" not in schema or any(_fits(value, branch, root) for branch in schema["anyOf"]),
        "oneOf" not in schema or sum(_fits(value, branch, root) for branch in schema["oneOf"]) == 1,
        "items" not in schema or all(_fits(inner, schema["items"], root) for inner in value),  # type: ignore[attr-defined]
    ]
    if isinstance(value, dict):
        checks.append(all(key in value for key in schema.get("required", [])))
        for key, inner in value.items():
            patterns = schema.get("patternProperties", {}).items()
            matching = [found for pattern, found in patterns if re.search(pattern, key)]
            found = schema.get("properties", {}).get(key) or next(iter(matching), None)
            checks.append(_fits(inner, found, root) if found else schema.get("additionalProperties") is not False)
    return all(checks)


@pytest.mark.parametrize("text", [GOOD, "[children]", 'template = { actor = "a:B" }', "backoff = false\n[children]"])
def test_the_schema_accepts_good_files(text: str) -> None:
    schema = json_schema()

    assert _fits(tomllib.loads(text), schema, schema)


@pytest.mark.parametrize(
    "key",
    [
        "unknown key",
        "strategy",
        "restart",
        "child of two kinds",
        "child of no kind",
        "size",
        "class path",
        "path of the wrong type",
    ],
)
def test_the_schema_refuses_what_load_refuses(key: str) -> None:
    schema = json_schema()

    assert not _fits(tomllib.loads(BROKEN[key][0]), schema, schema)


PAGE = Path(__file__).parents[3] / "docs" / "reference" / "configuration.md"


def test_the_reference_page_has_a_row_for_every_key() -> None:
    rows = set(re.findall(r"^\| `([a-z_]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))

    assert rows == {key for table in _tables_of(json_schema()) for key in table["properties"]}


def test_the_example_of_the_reference_page_is_a_valid_file() -> None:
    schema = json_schema()
    [example] = re.findall(r"```toml\n(name = .*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)

    assert _fits(tomllib.loads(example), schema, schema)
