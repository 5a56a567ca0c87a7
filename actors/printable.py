r"""Text of others, fit to be printed for people: what a terminal would obey, or a reader would not see, is written out.

    "\x1b[2J" + "ok"    →    \x1b[2Jok

What an actor's exception or log line says may have come from anywhere: with an escape sequence in it, it could rewrite
the operator's screen, or forge a line of ours. So every text for people passes here, at the last place before it is
printed; data (JSON, fields of a certificate) stays as it is, since a program reads it.
"""

import re

# C0 but tab and newline, DEL, C1 (in it CSI, 0x9b, which some terminals obey like ESC [); characters that turn the
# direction of what is read (CVE-2021-42574); separators that some take for a newline; surrogates, which have no bytes.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with all such characters as Python writes them in a string; lines and tabs stay."""
    return _UNSEEN.sub(_as_python, text)


def printable_json(text: str) -> str:
    """JSON that says the same with all such characters escaped as JSON has it."""
    return _UNSEEN.sub(_as_json, text)


def _as_python(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"


def _as_json(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
