"""How long the supervisor is waited for."""

import socket
import threading

import pytest

from actors.deadline import DEFAULT_SECONDS, NEVER, ambient
from runtime.wire.late import patience_seconds


@pytest.fixture(autouse=True)
def _ambient_as_before():
    token = ambient.set((None, ()))
    yield
    ambient.reset(token)


def test_without_a_deadline_it_is_the_default_of_an_ask():
    assert patience_seconds() == DEFAULT_SECONDS


def test_without_end_it_is_without_end():
    ambient.set((NEVER, ()))

    assert patience_seconds() is None


@pytest.mark.parametrize("until_ns", [1, 1 << 62, (1 << 63) - 1, (1 << 64) - 1])
def test_whatever_deadline_a_frame_names_a_lock_and_a_socket_take_it(until_ns):
    ambient.set((until_ns, ()))
    seconds = patience_seconds()

    assert seconds is not None
    assert threading.Lock().acquire(timeout=seconds)
    with socket.socket() as sock:
        sock.settimeout(seconds)
        assert sock.gettimeout() == pytest.approx(seconds)
