"""The meter of a connection: bytes and lag, without a clock."""

from runtime.web.meter import FRAMING_BYTES, LEAST_RATE, Meter, Phase


def body() -> Meter:
    meter = Meter(0.0)
    meter.begin(Phase.BODY, 0.0)
    return meter


def test_a_head_is_bearable_up_to_its_limit() -> None:
    meter = Meter(0.0)
    meter.begin(Phase.HEAD, 0.0)

    assert [meter.add(FRAMING_BYTES), meter.add(1)] == [True, False]


def test_what_is_around_a_body_is_counted_from_the_last_byte_of_it() -> None:
    meter = body()

    assert meter.add(FRAMING_BYTES)
    meter.add_body(1)
    assert meter.add(FRAMING_BYTES)
    assert meter.add(FRAMING_BYTES)
    assert not meter.add(1)


def test_a_body_counts_for_its_client() -> None:
    meter = body()
    meter.add_body(int(LEAST_RATE) * 3)

    assert meter.lag(10.0) == 7.0


def test_a_phase_begins_without_what_was_before() -> None:
    meter = body()
    meter.add_body(1000)
    meter.add(FRAMING_BYTES)
    meter.begin(Phase.HEAD, 5.0)

    assert (meter.lag(6.0), meter.add(FRAMING_BYTES)) == (1.0, True)
