"""What a client may send, and for how long it is waited for: over real sockets, by hand."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors import child
from runtime import Supervisor
from runtime.testing import wait_until
from runtime.web import WebFront
from tests.runtime.web.application import (
    Application,
    Gate,
    answer_of,
    connection,
    get,
    is_closed,
    post,
    status_of,
)

pytestmark = pytest.mark.process

APPLICATION = f"{Application.__module__}:Application"
CHUNKED = b"POST /headers HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n"
H2C = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQAoAAAAAIAAAAA")


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def front(supervisor: Supervisor, **options: Any) -> WebFront:
    gate = supervisor.start(child(Gate), name="gate")
    options = {"keep_alive_seconds": 60, **options}
    return supervisor.start(child(WebFront, APPLICATION, refs={"gate": gate}, port=0, **options), name="front")


@contextlib.contextmanager
def connections(address: tuple[str, int], n: int, said: bytes) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(connection(address)) for _ in range(n)]
        for one in opened:
            one.sendall(said)
        yield opened


def is_served(address: tuple[str, int]) -> bool:
    with connection(address) as client:
        client.sendall(get("/"))
        return status_of(client) == 200


def send_until_refused(client: socket.socket, piece: bytes, most: int) -> int:
    """Send at most so many bytes; how many were taken before the connection was closed."""
    sent = 0
    with contextlib.suppress(OSError):
        while sent < most:
            client.sendall(piece)
            sent += len(piece)
    return sent


@pytest.mark.parametrize(
    "piece",
    [b"x: 1\r\n", b"x" * 4096],
    ids=["many of them", "one without an end"],
)
def test_trailers_are_bounded_like_a_head(supervisor: Supervisor, piece: bytes) -> None:
    address = front(supervisor).address()

    with connection(address) as client:
        client.sendall(CHUNKED + b"0\r\nx: ")

        assert send_until_refused(client, piece * (65536 // len(piece)), 64 << 20) < 64 << 20
    with connection(address) as client:
        client.sendall(CHUNKED + b"0\r\nx: " + piece * (80_000 // len(piece)))
        assert status_of(client) == 431
    assert is_served(address)


def test_the_extensions_of_a_chunk_are_bounded_like_a_head(supervisor: Supervisor) -> None:
    with connection(front(supervisor).address()) as client:
        client.sendall(CHUNKED + b"2;" + b"x" * 100_000)

        assert status_of(client) == 431


def test_a_trailer_is_no_header(supervisor: Supervisor) -> None:
    with connection(front(supervisor).address()) as client:
        client.sendall(CHUNKED + b"0\r\nx-admin: yes\r\n\r\n")

        assert answer_of(client)[2] == b'["host","transfer-encoding"]'


def test_a_head_over_the_limit_is_431_though_it_comes_as_a_whole(supervisor: Supervisor) -> None:
    with connection(front(supervisor).address()) as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: test\r\nx: " + b"x" * 100_000 + b"\r\n\r\n")

        assert status_of(client) == 431


def test_a_chunked_body_of_small_chunks_arrives_whatever_it_takes_around_it(supervisor: Supervisor) -> None:
    head = b"POST /headers HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n"
    with connection(front(supervisor).address()) as client:
        client.sendall(head + (b"1;" + b"x" * 2000 + b"\r\na\r\n") * 90 + b"0\r\n\r\n")

        assert status_of(client) == 200


@pytest.mark.parametrize(
    "said",
    [b"", b"GET / HTTP/1.1\r\nx: ", b"POST /point HTTP/1.1\r\nhost: test\r\ncontent-length: 90\r\n\r\nx"],
    ids=["nothing", "half a head", "half a body"],
)
def test_whoever_says_too_little_makes_room_for_those_who_come(supervisor: Supervisor, said: bytes) -> None:
    address = front(supervisor, most_connections=16, head_seconds=60.0).address()

    with connections(address, 40, said):
        assert all(is_served(address) for _ in range(40))


def test_a_request_in_hand_never_makes_room(supervisor: Supervisor, fifo: Path) -> None:
    address = front(supervisor, most_connections=8, head_seconds=60.0).address()

    with connection(address) as client:
        client.sendall(get(f"/gate?{fifo}"))
        with fifo.open("w") as opened, connections(address, 40, b""):
            assert is_served(address)
            opened.write("done")

        assert status_of(client) == 200


def test_more_requests_than_may_be_under_way_are_503_and_counted(supervisor: Supervisor, fifo: Path) -> None:
    started = front(supervisor, most_connections=3)
    address = started.address()

    with connections(address, 2, get(f"/gate?{fifo}")) as asking, fifo.open("w"):
        assert wait_until(lambda: started.traffic().open == 2)
        with connections(address, 1, get(f"/gate?{fifo}")) as more:
            assert wait_until(lambda: started.traffic().open == 3)
            with connection(address) as client:
                client.sendall(get("/"))
                status, headers, _ = answer_of(client)

            assert (status, headers["retry-after"]) == (503, "1")
            assert started.traffic().answered == {503: 1}
            assert len([*asking, *more]) == 3


def test_a_body_that_comes_too_slowly_is_408(supervisor: Supervisor) -> None:
    with connection(front(supervisor, stall_seconds=0.2).address()) as client:
        client.sendall(b"POST /headers HTTP/1.1\r\nhost: test\r\ncontent-length: 90\r\n\r\nx")

        assert status_of(client) == 408
        assert is_closed(client)


def test_a_client_that_does_not_read_its_answer_is_given_up(supervisor: Supervisor) -> None:
    started = front(supervisor, stall_seconds=0.5)

    with connection(started.address()) as client:
        client.sendall(get("/large"))
        assert wait_until(lambda: started.traffic().answered == {200: 1})

        assert wait_until(lambda: not _is_established(started.address(), client.getsockname()))


def _is_established(server: tuple[str, int], client: tuple[str, int]) -> bool:
    """Whether the server's end of that connection is still open, as the kernel has it."""
    ends = f":{server[1]:04X} ", f":{client[1]:04X} 01 "
    return any(all(end in line for end in ends) for line in Path("/proc/net/tcp").read_text().splitlines())


@pytest.mark.parametrize("hosts", ["", "host: a\r\nhost: b\r\n"], ids=["none", "two"])
def test_a_request_without_exactly_one_host_is_400(supervisor: Supervisor, hosts: str) -> None:
    with connection(front(supervisor).address()) as client:
        client.sendall(f"GET / HTTP/1.1\r\n{hosts}\r\n".encode())

        assert status_of(client) == 400


def test_a_content_length_of_5000_digits_is_400(supervisor: Supervisor) -> None:
    with connection(front(supervisor).address()) as client:
        client.sendall(b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: " + b"0" * 5000 + b"2\r\n\r\nab")

        assert status_of(client) == 400


def test_a_redirect_to_its_own_host_does_not_repeat_what_the_client_calls_it(supervisor: Supervisor) -> None:
    with connection(front(supervisor).address()) as client:
        client.sendall(b"GET /redirect HTTP/1.1\r\nhost: evil.example\r\n\r\n")
        status, headers, _ = answer_of(client)

        assert (status, headers["location"]) == (307, "/elsewhere")


def test_a_request_that_asks_for_another_protocol_is_answered_in_this_one(supervisor: Supervisor) -> None:
    with connection(front(supervisor).address()) as client:
        for _ in range(2):
            client.sendall(post("/point", b'{"x": 1, "y": 2}', *H2C))

            assert answer_of(client)[::2] == (200, b'{"x":1,"y":2}')


def test_connect_is_400(supervisor: Supervisor) -> None:
    with connection(front(supervisor).address()) as client:
        client.sendall(b"CONNECT test:80 HTTP/1.1\r\nhost: test\r\n\r\n")

        assert status_of(client) == 400


def test_a_client_that_has_closed_its_side_gets_its_answers(supervisor: Supervisor) -> None:
    with connection(front(supervisor).address()) as client:
        client.sendall(get("/") * 3)
        client.shutdown(socket.SHUT_WR)

        assert [status_of(client) for _ in range(3)] == [200] * 3
        assert is_closed(client)


def test_a_client_that_has_closed_its_side_gets_an_answer_that_takes_long(supervisor: Supervisor, fifo: Path) -> None:
    with connection(front(supervisor).address()) as client:
        client.sendall(get(f"/gate?{fifo}"))
        client.shutdown(socket.SHUT_WR)
        with fifo.open("w") as opened:
            assert status_of(client) == 100
            opened.write("done")

        assert answer_of(client)[::2] == (200, b'"done"')


@pytest.mark.parametrize("half", [get("/")[:-2], post("/point", b"xx")[:-1]], ids=["head", "body"])
def test_half_a_request_of_a_client_that_has_closed_its_side_is_400(supervisor: Supervisor, half: bytes) -> None:
    with connection(front(supervisor).address()) as client:
        client.sendall(half)
        client.shutdown(socket.SHUT_WR)

        assert status_of(client) == 400
        assert is_closed(client)


def test_pipelined_requests_are_answered_in_order_and_a_refusal_comes_last(supervisor: Supervisor, fifo: Path) -> None:
    with connection(front(supervisor).address()) as client:
        client.sendall(get(f"/gate?{fifo}") + get("/") * 2000 + b"nonsense\r\n\r\n")
        with fifo.open("w") as opened:
            opened.write("done")

        assert answer_of(client)[2] == b'"done"'
        assert {status_of(client) for _ in range(2000)} == {200}
        assert status_of(client) == 400
        assert is_closed(client)
