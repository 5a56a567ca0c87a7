"""What a real Erlang/OTP answered is what ours answers: all recordings under virtual time, some on real processes."""

import time

import pytest

from tests.conformance.replay import Recording, difference, load

WRITTEN = load("written")
RANDOM = load("random")
_SECONDS = 15.0  # for real processes, whatever their number


@pytest.mark.parametrize("recording", WRITTEN, ids=lambda recording: recording.script)
def test_a_written_script_is_answered_as_erlang_answers_it(recording: Recording) -> None:
    assert difference(recording) == ""


def test_random_scripts_are_answered_as_erlang_answers_them() -> None:
    """Whatever a script can say, in any mixture."""
    assert len(RANDOM) >= 290
    assert [found for recording in RANDOM if (found := difference(recording))] == []


@pytest.mark.process
@pytest.mark.parametrize("kind", ["written", "random"])
def test_real_processes_answer_as_erlang_answers(kind: str) -> None:
    """A spread of the recordings, each in real time; on a slow machine fewer of them."""
    recordings = [each for each in load(kind) if not each.script.startswith("window")]
    spread = recordings[:: len(recordings) // 16]
    until = time.monotonic() + _SECONDS / 2

    for number, recording in enumerate(spread):
        if number < 4 or time.monotonic() < until:
            assert difference(recording, processes=True) == ""
