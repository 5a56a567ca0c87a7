"""Scripts written by hand, by the cases they show: name → operations. Their answers are recorded from a real Erlang."""

from tests.conformance import written_request, written_restart, written_stop
from tests.conformance.answers import Operation


def written() -> dict[str, list[Operation]]:
    """All of them."""
    return {**written_request.scripts(), **written_restart.scripts(), **written_stop.scripts()}
