"""Slabs: their sizes, and what they say of themselves."""

import pytest

from runtime.memory.slab import DATA_AT, SMALLEST, rounded


@pytest.mark.parametrize("nbytes", [0, 1, 4096, SMALLEST, SMALLEST + 1, 70_000, 1 << 20, (1 << 20) + 60, 100 << 20])
def test_a_slab_holds_its_payload_and_wastes_at_most_a_quarter(nbytes: int) -> None:
    size = rounded(nbytes) - DATA_AT

    assert size >= nbytes
    assert size <= max(SMALLEST, nbytes * 5 // 4 + SMALLEST)


def test_payloads_of_like_sizes_share_a_size_of_slab() -> None:
    assert len({rounded(nbytes) for nbytes in range((1 << 20) + 1, (2 << 20) + 1, 997)}) == 4
