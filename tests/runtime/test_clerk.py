"""The clerk: what its threads leave."""

import asyncio
import threading
import weakref
from time import monotonic_ns

import pytest

from runtime.clerk import clerk
from runtime.testing import wait_until


class Got:
    """What a job gets."""


def test_an_error_that_is_kept_keeps_nothing_that_a_late_job_got() -> None:
    """A mapping, say, and its descriptor."""
    goes_on = threading.Event()
    made: list[weakref.ref[Got]] = []
    ended = threading.Event()

    def job() -> Got:
        goes_on.wait(20)
        got = Got()
        made.append(weakref.ref(got, lambda _: ended.set()))
        return got

    with pytest.raises(TimeoutError) as told:
        asyncio.run(clerk.wait_for(job, monotonic_ns() + 1_000_000))
    goes_on.set()

    assert wait_until(lambda: bool(made))
    assert ended.wait(20)
    assert told.value.__traceback__ is not None
