"""The death certificate: one object, whole or trimmed, as data or as text."""

import pickle
from dataclasses import replace

import msgpack
import pytest

from actors import DeathCertificate, MessageInHand

FULL = DeathCertificate(
    actor="payments.gateway",
    incarnation=3,
    pid=4711,
    phase="run",
    cause="exception",
    exit_code=1,
    traceback='Traceback (most recent call last):\n  File "a.py", line 1\nValueError: no such tea\n',
    native_stack="Fatal Python error: Segmentation fault\n",
    in_hand=MessageInHand("charge", 2, 1.5),
    log_lines=("one", "two", "three"),
    restarts=2,
)
BARE = DeathCertificate("a", 1, 7, "run", "signal", signal="SIGKILL")


@pytest.mark.parametrize("certificate", [FULL, BARE])
def test_a_certificate_survives_plain_data_msgpack_and_pickle(certificate):
    assert DeathCertificate.from_dict(certificate.to_dict()) == certificate
    assert DeathCertificate.from_dict(msgpack.unpackb(msgpack.packb(certificate.to_dict()))) == certificate
    assert pickle.loads(pickle.dumps(certificate)) == certificate


def test_unknown_keys_are_ignored():
    assert DeathCertificate.from_dict({**BARE.to_dict(), "colour": "red"}) == BARE


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (FULL, "ValueError: no such tea"),
        (BARE, "SIGKILL"),
        (replace(BARE, oom=True), "SIGKILL (perhaps out of memory)"),
        (DeathCertificate("a", 1, 7, "run", "exit", exit_code=3), "exit code 3"),
        (DeathCertificate("a", 1, 0, "start", "start timeout"), "start timeout"),
    ],
)
def test_the_reason_is_the_cause_in_a_few_words(certificate, reason):
    assert certificate.reason == reason


def test_the_summary_is_one_line_of_who_why_and_what_was_in_hand():
    assert FULL.summary() == (
        "payments.gateway #3 (pid 4711) died: ValueError: no such tea while handling charge for 1.500 s (attempt 2)"
    )
    assert replace(BARE, phase="start").summary() == "a #1 (pid 7) died while starting: SIGKILL"
    assert replace(BARE, phase="stop").summary() == "a #1 (pid 7) died while stopping: SIGKILL"
    assert "a message" in replace(BARE, in_hand=MessageInHand("", 1, 0.0)).summary()


def test_the_report_holds_everything():
    report = FULL.report()

    wanted = (FULL.summary(), "restarts before: 2", 'File "a.py"', "Segmentation fault", "three")
    assert all(text in report for text in wanted)
    assert BARE.report().splitlines() == [BARE.summary(), "restarts before: 0"]


def test_a_trimmed_certificate_keeps_the_ends_of_its_texts():
    long = replace(FULL, traceback="x" * 5000 + "end", native_stack="é" * 5000, log_lines=("old" * 900, "new"))
    trimmed = long.trimmed(900)

    texts = [trimmed.traceback, trimmed.native_stack, *trimmed.log_lines]
    assert sum(len(text.encode()) for text in texts) <= 900 + 2 * len("…".encode())
    assert trimmed.traceback.startswith("…")
    assert trimmed.traceback.endswith("end")
    assert trimmed.log_lines == ("new",)
    assert trimmed.in_hand == long.in_hand


def test_a_small_certificate_is_not_trimmed():
    assert FULL.trimmed(3000) == FULL
