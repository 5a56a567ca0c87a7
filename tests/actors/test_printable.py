"""Text of others on a terminal: nothing of it is obeyed, all of it can be read."""

import json
import unicodedata

import pytest

from actors import DeathCertificate
from actors.printable import printable, printable_json

ODD = "\x1b]0;pwned\x07\x1b[2J\x9b31m\r\x7f\u202eok\u2028\udcff"
CONTROLS = [chr(code) for code in [*range(0x20), *range(0x7F, 0xA0)] if chr(code) not in "\t\n"]


def test_every_control_character_is_written_out_but_tab_and_newline() -> None:
    assert [printable(control) for control in CONTROLS] == [f"\\x{ord(control):02x}" for control in CONTROLS]
    assert printable("a\tb\n") == "a\tb\n"


def test_what_turns_the_direction_of_reading_or_has_no_bytes_is_written_out() -> None:
    shown = printable(ODD)

    assert {unicodedata.category(letter) for letter in shown} <= {"Ll", "Lu", "Nd", "Ps", "Pe", "Po", "Sc"}
    shown.encode()


def test_letters_of_every_language_stay() -> None:
    text = "naïve Ægir 茶 שלום 🍵 e\u0301"

    assert printable(text) == text


def test_json_says_the_same() -> None:
    text = json.dumps({ODD: [ODD]}, ensure_ascii=False)
    shown = printable_json(text)

    assert json.loads(shown) == json.loads(text)
    assert shown.isprintable()


@pytest.mark.parametrize("page", [DeathCertificate.summary, DeathCertificate.report])
def test_a_certificate_is_printed_without_what_a_terminal_would_obey(page: "object") -> None:
    certificate = DeathCertificate(
        "a", 1, 7, "run", "exception", traceback=f"Traceback:\nValueError: {ODD}", log_lines=(ODD,), native_stack=ODD
    )

    assert callable(page)
    assert all(line.isprintable() for line in page(certificate).split("\n"))
    assert certificate.log_lines == (ODD,)
