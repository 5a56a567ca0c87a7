"""`python -m tests.conformance.record`: record a real Erlang/OTP's answers anew. Needs `erl` and `erlc`.

What is random is answered twice; a script that Erlang itself does not answer alike is left out.
"""

from tests.conformance.answers import first_difference
from tests.conformance.compare import recorded
from tests.conformance.otp import answered_by_otp
from tests.conformance.replay import Recording, save
from tests.conformance.written import written

_SEEDS = {"real": range(260), "window": range(40)}
_LENGTH = 22


def main() -> None:
    """Write recorded/*.jsonl."""
    scripts = written()
    answered = answered_by_otp(list(scripts.values()))
    save("written", [Recording(name, tuple(steps)) for name, steps in zip(scripts, answered, strict=True)])
    found: list[Recording] = []
    for pace, seeds in _SEEDS.items():
        first, second = recorded(pace, seeds, _LENGTH), recorded(pace, seeds, _LENGTH)
        found += [one for one, other in zip(first, second, strict=True) if _is_same(one, other)]
    save("random", found)
    print(f"{len(scripts)} written, {len(found)} of {sum(map(len, _SEEDS.values()))} random")


def _is_same(one: Recording, other: Recording) -> bool:
    return not first_difference(one.steps, [answer for _, answer in other.steps])


if __name__ == "__main__":
    main()
