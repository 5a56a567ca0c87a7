"""When two answers are the same: what is not defined is sorted, and nothing else.

Not defined is the order in which a dynamic supervisor's workers are stopped, and the order of its children.
"""

import itertools
import json
from collections.abc import Iterable, Mapping
from typing import Any

_STOPS = ("stop", "stopcrash", "hang")

Operation = Mapping[str, Any]
Answer = Mapping[str, Any]
Step = tuple[Operation, Answer]


class Comparison:
    """Makes the answers of one script comparable; to be fed with all of its operations, in order."""

    def __init__(self) -> None:
        self._dynamic: set[str] = set()
        self._supervisor_of: dict[str, str] = {}

    def plain(self, operation: Operation, answer: Answer) -> str:
        """The answer as text, equal for equal answers."""
        self._note(operation)
        result = answer["result"]
        if operation["op"] == "which_children" and operation["sup"] in self._dynamic and isinstance(result, list):
            result = sorted(result)
        trace = list(self._sorted_stops(answer["trace"]))
        return json.dumps([result, trace], sort_keys=True)

    def _sorted_stops(self, trace: Iterable[list[str]]) -> Iterable[list[str]]:
        for supervisor, group in itertools.groupby(trace, self._stopped_by):
            records = list(group)
            yield from sorted(records) if supervisor else records

    def _stopped_by(self, record: list[str]) -> str:
        what, worker = record
        return self._supervisor_of.get(worker, "") if what in _STOPS else ""

    def _note(self, operation: Operation) -> None:
        match operation:
            case {"op": "start_tree", "tree": tree}:
                self._note_tree("root", tree)
            case {"op": "start_child", "sup": supervisor, "child": child}:
                if supervisor in self._dynamic:
                    self._supervisor_of[child["id"]] = supervisor
                elif "tree" in child:
                    self._note_tree(child.get("id", ""), child["tree"])

    def _note_tree(self, name: str, tree: Mapping[str, Any]) -> None:
        if tree.get("strategy") == "dynamic":
            self._dynamic.add(name)
        for child in tree.get("children", ()):
            if "tree" in child:
                self._note_tree(child.get("id", ""), child["tree"])


def first_difference(script: Iterable[Step], answers: Iterable[Answer]) -> str:
    """What is first answered otherwise than recorded, for people; "" if nothing is."""
    comparison = Comparison()
    for number, ((operation, recorded), answer) in enumerate(zip(script, answers, strict=True)):
        expected, got = comparison.plain(operation, recorded), comparison.plain(operation, answer)
        if expected != got:
            return f"line {number}: {json.dumps(operation)}\n  recorded {expected}\n  answered {got}"
    return ""
