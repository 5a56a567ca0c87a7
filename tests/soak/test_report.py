"""Reports: what is a fault in them."""

from tests.soak.report import Report
from tests.soak.sample import Sample


def test_what_grows_with_time_is_a_fault() -> None:
    def grown(kib: int, more: int, rounds: int = 100) -> Report:
        samples = [Sample(n, 20_000 + kib * n, 9 + more * n, 9 + more * n, 9 + more * n, 0, 0) for n in range(rounds)]
        report = Report("s", samples=samples)
        report.close(1.0)
        return report

    assert grown(0, 0).faults == 0
    assert grown(100, 0).memory_grown > 0
    assert grown(0, 1).descriptors_grown == grown(0, 1).names_grown == grown(0, 1).processes_grown > 0
    assert grown(100, 1, rounds=10).faults == 0, "too short to say"


def test_a_report_is_faulty_when_anything_that_must_be_0_is_not() -> None:
    report = Report("s", sent=3)
    assert report.faults == 0
    report.lost = 1

    assert report.faults == 1
    assert "must be 0: FAULT" in report.text()
    assert '"faults": 1' in report.to_json()
