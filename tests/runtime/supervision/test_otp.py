"""The decisions and a transliteration of supervisor.erl answer random scripts alike."""

import json

import hypothesis.strategies as st
from hypothesis import given, settings

from tests.conformance.protocol import Protocol
from tests.conformance.virtual import VirtualDriver
from tests.runtime.supervision.otp import OtpDriver
from tests.runtime.supervision.scripts import random_script


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_a_random_script_is_answered_as_supervisor_erl_answers_it(seed):
    """Cases 4 to 6, 9 to 17, 19, 20, 22 to 37, 39 to 41, 43, 45 to 49, in any mixture."""
    ours, theirs = Protocol(VirtualDriver()), Protocol(OtpDriver())

    for operation in random_script(seed, 40):
        line = json.dumps(operation)
        assert ours.answer(line) == theirs.answer(line), line
