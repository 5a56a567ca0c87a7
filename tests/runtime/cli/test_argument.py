"""Arguments on the command line, and answers on stdout."""

from collections.abc import Mapping

import pytest

from runtime.cli.argument import json_text, parse_words


@pytest.mark.parametrize(
    ("words", "args", "kwargs"),
    [
        ([], [], {}),
        (["1", "-1", "2.5", "true", "null"], [1, -1, 2.5, True, None], {}),
        (["tea", '"1"', "two words", ""], ["tea", "1", "two words", ""], {}),
        (['{"tea": [1]}'], [{"tea": [1]}], {}),
        (["n=1", "kind=green", "of=[1]", "empty="], [], {"n": 1, "kind": "green", "of": [1], "empty": ""}),
        (["a=b=c"], [], {"a": "b=c"}),
        (['"a=b"', "1=2", "NaN", "Infinity"], ["a=b", "1=2", "NaN", "Infinity"], {}),
    ],
)
def test_words_are_json_or_strings_and_keywords_by_name(
    words: list[str], args: list[object], kwargs: Mapping[str, object]
) -> None:
    assert parse_words(words) == (args, kwargs)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([1, "tée", None], '[1, "tée", null]'),
        ((1, 2), "[1, 2]"),
        (b"x", None),
        (float("nan"), None),
        ({1, 2}, None),
    ],
)
def test_an_answer_is_json_where_json_can_carry_it(value: object, text: str | None) -> None:
    assert json_text(value) == text
