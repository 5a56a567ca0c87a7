"""Durations and sizes as people write them."""

import pytest

from runtime.configuration.quantity import parse_duration, parse_shutdown, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5s", 5.0), ("100ms", 0.1), ("2m", 120.0), ("6h", 21600.0), ("1.5 s", 1.5), ("0s", 0.0), (3, 3.0), (0.25, 0.25)],
)
def test_a_duration_is_a_number_with_a_unit_or_seconds(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "wrong",
    ["5", "s", "-1s", "5 parsecs", "1h30m", -1, True, float("nan"), float("inf"), 10**400, "999999999999h", None, []],
)
def test_anything_else_is_no_duration(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"^a duration like"):
        parse_duration(wrong)


@pytest.mark.parametrize(("value", "parsed"), [("kill", "kill"), ("infinity", "infinity"), ("5s", 5.0), (0, 0.0)])
def test_a_shutdown_is_a_duration_or_one_of_two_words(value: object, parsed: object) -> None:
    assert parse_shutdown(value) == parsed


@pytest.mark.parametrize("wrong", ["never", "Kill", -1, True])
def test_anything_else_is_no_shutdown(wrong: object) -> None:
    with pytest.raises(ValueError, match=r'^"kill", "infinity" or'):
        parse_shutdown(wrong)


@pytest.mark.parametrize(
    ("text", "nbytes"), [("64KiB", 65536), ("1MiB", 1 << 20), ("1 GiB", 1 << 30), ("4096B", 4096), (4096, 4096)]
)
def test_a_size_is_a_whole_number_with_a_unit_or_bytes(text: object, nbytes: int) -> None:
    assert parse_size(text) == nbytes


@pytest.mark.parametrize("wrong", ["64", "64KB", "1.5MiB", -1, 1.0, True, "KiB"])
def test_anything_else_is_no_size(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"^a size like"):
        parse_size(wrong)
