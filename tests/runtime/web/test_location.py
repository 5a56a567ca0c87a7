"""Where a redirect leads."""

import pytest

from runtime.web.location import relative

SCOPE = {"scheme": "http", "headers": [(b"host", b"Evil.example:80")]}


def location(value: bytes, status: int = 307) -> bytes:
    event = {"type": "http.response.start", "status": status, "headers": [(b"x", b"1"), (b"Location", value)]}
    headers = dict(relative(event, SCOPE)["headers"])
    assert headers[b"x"] == b"1"
    return headers[b"Location"]


@pytest.mark.parametrize(
    ("made", "sent"),
    [
        (b"http://evil.example:80/a?b#c", b"/a?b#c"),
        (b"http://EVIL.example:80", b"/"),
        (b"http://evil.example:80?q", b"/?q"),
        (b"http://evil.example:80//other.example/", b"/.//other.example/"),
    ],
)
def test_of_an_address_at_the_host_that_was_asked_the_path_is_sent(made: bytes, sent: bytes) -> None:
    assert location(made) == sent


@pytest.mark.parametrize(
    "made",
    [
        b"/a",
        b"https://evil.example:80/a",
        b"http://other.example/",
        b"http://evil.example:8000/a",
        b"http://evil.example/",
    ],
)
def test_every_other_address_is_sent_as_it_is(made: bytes) -> None:
    assert location(made) == made


def test_what_is_no_redirect_is_sent_as_it_is() -> None:
    assert location(b"http://evil.example:80/a", status=201) == b"http://evil.example:80/a"
