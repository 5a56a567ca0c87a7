import os

import pytest

from runtime.memory.region import Region, create
from tests.runtime.memory.farm import Farm, Small


@pytest.fixture
def deaths():
    """What the region of the test said of dead owners."""
    return []


@pytest.fixture
def make(deaths):
    """Makes regions, and further ways to the first one's memory."""
    fds = []

    def region(layout=Small, *, again=False, **options):
        if not again:
            fds.append(create("made", layout, **options))
        return Region(
            fds[-1], layout, name="made", holder="tester", owner_died=lambda _name, holder: deaths.append(holder)
        )

    region.fd = lambda: fds[-1]
    yield region
    for fd in fds:
        os.close(fd)


@pytest.fixture
def region(make):
    """A small region."""
    return make()


@pytest.fixture
def farm(make):
    """Makes farms on the memory of the region made last."""
    farms = []

    def start(layout=Small):
        farms.append(Farm(make.fd(), layout))
        return farms[-1]

    yield start
    for started in farms:
        started.close()
