"""The front: an ASGI application under supervision, over real sockets."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors import StartFailed, child
from runtime import Supervisor
from runtime.testing import wait_until
from runtime.web import WebFront
from tests.runtime.web.application import Application, Gate, Overriding, connection, get, is_closed, status_of

pytestmark = pytest.mark.process

APPLICATION = f"{Application.__module__}:Application"


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def gated(supervisor: Supervisor) -> WebFront:
    gate = supervisor.start(child(Gate), name="gate")
    return supervisor.start(child(WebFront, APPLICATION, refs={"gate": gate}, port=0), name="front")


def hello(supervisor: Supervisor, head_seconds: float = 5.0) -> WebFront:
    spec = child(WebFront, APPLICATION, refs={}, port=0, head_seconds=head_seconds, keep_alive_seconds=60)
    return supervisor.start(spec, name="front")


def test_a_front_is_ready_when_its_port_answers(supervisor: Supervisor) -> None:
    front = hello(supervisor)

    with connection(front.address()) as client:
        client.sendall(get("/"))

        assert status_of(client) == 200


def test_an_application_may_be_an_override_of_app(supervisor: Supervisor) -> None:
    front = supervisor.start(child(Overriding, port=0), name="front")

    with connection(front.address()) as client:
        client.sendall(get("/"))

        assert status_of(client) == 200


def test_without_a_port_it_listens_on_the_port_of_the_environment(
    nothing_left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "0")
    with Supervisor("test") as supervisor:
        front = supervisor.start(child(Overriding), name="front")

        assert front.address()[1] not in (0, 8000)


def test_a_port_in_use_is_a_failed_start_of_one_line(supervisor: Supervisor, busy_port: int) -> None:
    with pytest.raises(StartFailed) as caught:
        supervisor.start(child(WebFront, APPLICATION, refs={}, port=busy_port), name="front")

    assert caught.value.certificate is not None
    assert caught.value.certificate.reason == f"OSError: 127.0.0.1:{busy_port}: address already in use"


def test_an_application_that_refuses_to_start_is_a_failed_start_and_says_why(supervisor: Supervisor) -> None:
    with pytest.raises(StartFailed) as caught:
        supervisor.start(child(WebFront, f"{Application.__module__}:refusing", port=0), name="front")

    assert caught.value.certificate is not None
    assert "lifespan did not start" in caught.value.certificate.reason
    assert any("no database" in line for line in caught.value.certificate.log_lines)


def test_a_front_without_an_application_is_a_failed_start(supervisor: Supervisor) -> None:
    with pytest.raises(StartFailed, match='WebFront: app: expected "module:attribute" or an override'):
        supervisor.start(child(WebFront, port=0), name="front")


def test_a_function_that_makes_an_application_without_refs_is_a_failed_start_that_says_so(
    supervisor: Supervisor,
) -> None:
    with pytest.raises(StartFailed, match=r"expected an application.* when refs are given"):
        supervisor.start(child(WebFront, "tests.runtime.web.application:made_of", port=0), name="front")


def test_an_ordered_stop_finishes_the_request_in_hand(supervisor: Supervisor, fifo: Path) -> None:
    front = gated(supervisor)
    address = front.address()

    with connection(address) as client:
        client.sendall(get(f"/gate?{fifo}"))
        with fifo.open("w") as opened:  # blocks until the handler has begun
            stop = threading.Thread(target=supervisor.stop, args=("front",))
            stop.start()
            assert wait_until(lambda: not _accepts(address))
            opened.write("done")

        assert status_of(client) == 200
        stop.join()


def test_a_client_that_disconnects_cancels_its_ask(supervisor: Supervisor, fifo: Path) -> None:
    front = gated(supervisor)

    with connection(front.address()) as client:
        client.sendall(get(f"/gate?{fifo}"))
        opened = fifo.open("w")  # blocks until the handler has begun
        assert front.traffic().open == 1
    assert wait_until(lambda: front.traffic().abandoned == 1)
    opened.close()

    assert wait_until(lambda: supervisor.children()[0].handled == 1)
    traffic = front.traffic()
    assert (traffic.open, traffic.answered) == (0, {})


def test_an_exception_of_the_application_is_a_500_and_counted(supervisor: Supervisor) -> None:
    front = hello(supervisor)

    with connection(front.address()) as client:
        client.sendall(get("/broken"))

        assert status_of(client) == 500
    assert front.traffic().answered == {500: 1}


def test_a_killed_front_listens_again_on_the_same_port(supervisor: Supervisor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    supervisor.start(child(WebFront, APPLICATION, refs={}, port=port), name="front")

    os.kill(supervisor.children()[0].pid, signal.SIGKILL)

    assert wait_until(lambda: supervisor.children()[0].incarnation == 2 and _accepts(("127.0.0.1", port)))


def test_a_head_that_comes_too_slowly_is_closed_with_408_and_delays_nobody(supervisor: Supervisor) -> None:
    address = hello(supervisor, head_seconds=0.3).address()

    with connection(address) as slow, connection(address) as other:
        slow.sendall(b"GET / HTTP/1.1\r\nx-")
        other.sendall(get("/"))

        assert status_of(other) == 200
        assert status_of(slow) == 408
        assert is_closed(slow)


def test_a_connection_that_sends_nothing_is_closed(supervisor: Supervisor) -> None:
    address = hello(supervisor, head_seconds=0.1).address()

    with connection(address) as client:
        assert is_closed(client)


def test_line_ends_do_not_keep_an_idle_connection_open(supervisor: Supervisor) -> None:
    address = hello(supervisor, head_seconds=0.1).address()

    with connection(address) as client:
        client.sendall(get("/"))
        assert status_of(client) == 200
        client.sendall(b"\r\n")

        assert status_of(client) == 408
        assert is_closed(client)


def test_a_pipelined_head_that_is_late_waits_for_the_answer_before_it(supervisor: Supervisor, fifo: Path) -> None:
    gate = supervisor.start(child(Gate), name="gate")
    spec = child(WebFront, APPLICATION, refs={"gate": gate}, port=0, head_seconds=0.05)
    address = supervisor.start(spec, name="front").address()

    with connection(address) as client:
        client.sendall(get(f"/gate?{fifo}") + b"GET / HT")
        with fifo.open("w") as opened, connection(address) as other:
            assert is_closed(other)  # so much time has passed
            opened.write("done")

        assert status_of(client) == 200
        assert status_of(client) == 408


def test_a_head_that_is_too_long_is_431(supervisor: Supervisor) -> None:
    address = hello(supervisor).address()

    with connection(address) as client:
        client.sendall(b"GET / HTTP/1.1\r\nx: " + b"x" * 70_000)

        assert status_of(client) == 431


def test_a_client_that_was_refused_cannot_send_its_body_for_ever(supervisor: Supervisor) -> None:
    address = hello(supervisor, head_seconds=0.1).address()

    with connection(address) as client:
        client.sendall(b"POST /point HTTP/1.1\r\nhost: test\r\ncontent-length: 1000\r\n\r\n")
        assert status_of(client) == 413
        client.sendall(b"x")

        assert is_closed(client)


def _accepts(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=1).close()
    except OSError:
        return False
    return True
