"""The tally: what an actor with snapshots has counted, held against what became of each message. Pure.

Each handler writes down what had been counted before it. So the next one shows whether its effect was committed: the
count is one more, or it is not.

TA-1  The effect of a message is committed once or not at all; nothing else changes the count, kill -9 included.
TA-2  What was answered is committed; what was reported as started is not.
"""

from collections import Counter
from collections.abc import Sequence

from tests.soak.ledger import Record

Key = tuple[int, int]
"""Of a message: sender, seq."""


def committed(begun: Sequence[Record], tally: int) -> tuple[Counter[Key], list[str]]:
    """How often the effect of each message was committed, and what is wrong with the count (TA-1).

    Args:
        begun: what the actor began, in order.
        tally: what it had counted in the end.
    """
    found: Counter[Key] = Counter()
    wrong = []
    counts = [*(record.detail for record in begun), tally]
    for record, before, after in zip(begun, counts, counts[1:], strict=False):
        key = record.sender, record.seq
        if after - before not in (0, 1):
            wrong.append(f"counted {before}, then {after}, after message {key}")
        found[key] += after > before
    wrong += [f"counted message {key} {times} times" for key, times in found.items() if times > 1]
    return found, wrong
