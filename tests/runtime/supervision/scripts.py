"""Random scripts for the script protocol: trees, behaviours, crashes, requests, time.

Only such as end, and whose answers are defined: a supervisor that may be killed has no supervisors below it, which
would then stop by themselves, at the same time as everybody else.
"""

import random
from dataclasses import dataclass
from typing import Any

Operation = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pace:
    """How much time a script takes. No two sums of deadlines should be alike, so that no two of them meet.

    Attributes:
        workers: shutdowns of workers, in milliseconds.
        supervisors: shutdowns of nested supervisors that have one of their own.
        max_seconds: the window.
        advances: seconds that pass; those of 1 and more end the window.
        stops: how workers take a polite stop.
    """

    workers: tuple[int, ...] = (100, 170, 230, 410, 1300, 2900)
    supervisors: tuple[int, ...] = (50, 350, 790)
    max_seconds: int = 300  # more than any sequence of hanging stops takes: else a restart loop need not end
    advances: tuple[float, ...] = (0.3, 40.0, 301.0)
    stops: tuple[str, ...] = ("ok", "hang", "crash")


VIRTUAL = Pace()
REAL = Pace(workers=(310, 530, 770), supervisors=(400, 990), advances=(0.01,))  # for real processes, in real time
WINDOW = Pace(workers=(2000,), supervisors=(4000,), max_seconds=1, advances=(2.1, 0.01, 0.01), stops=("ok", "crash"))


def random_script(seed: int, length: int, pace: Pace = VIRTUAL) -> list[Operation]:
    """A script of so many operations after the start of its tree."""
    return _Writer(random.Random(seed), pace).script(length)


class _Writer:
    def __init__(self, chance: random.Random, pace: Pace) -> None:
        self.chance = chance
        self.pace = pace
        self.count = 0
        self.workers: list[str] = []
        self.supervisors: dict[str, _Known] = {}

    def script(self, length: int) -> list[Operation]:
        operations = self.start_tree()
        while len(operations) < length:
            operations += self.start_tree() if self.chance.random() < 0.06 else [self.operation()]
        return operations

    def start_tree(self) -> list[Operation]:
        self.workers, self.supervisors = ["nobody"], {}
        operation = {"op": "start_tree", "tree": self.tree("root", 0)}
        before = [self.behave() for _ in range(self.chance.choice((0, 0, 0, 1, 2)))]
        return [{"op": "stop"}, *before, operation]

    def tree(self, name: str, depth: int, *, may_be_killed: bool = False) -> dict[str, Any]:
        chance = self.chance
        auto = chance.choice(("never", "never", "any_significant", "all_significant"))
        strategy = chance.choice(("one_for_one", "one_for_all", "rest_for_one", "dynamic")[: 4 if depth else 3])
        tree: dict[str, Any] = {
            "strategy": strategy,
            "max_restarts": chance.choice((0, 1, 2, 3, 5, 5, 8)),
            "max_seconds": self.pace.max_seconds,
            "auto_shutdown": auto,
        }
        known = self.supervisors[name] = _Known(strategy == "dynamic", may_be_killed, auto, [])
        if known.is_dynamic:
            tree["template"] = self.options(auto, is_worker=True)
        else:
            tree["children"] = [self.child(known, depth) for _ in range(chance.randint(0 if depth else 1, 4))]
        return tree

    def child(self, known: "_Known", depth: int) -> dict[str, Any]:
        self.count += 1
        name = f"{self.chance.choice('abcdef')}{self.count}"
        known.children.append(name)
        is_worker = depth >= 2 or known.may_be_killed or self.chance.random() < 0.7
        child = {"id": name, **self.options(known.auto, is_worker=is_worker)}
        if is_worker:
            self.workers.append(name)
        else:
            may_be_killed = child.get("shutdown", "infinity") != "infinity"
            child["tree"] = self.tree(name, depth + 1, may_be_killed=may_be_killed)
        return child

    def options(self, auto: str, *, is_worker: bool) -> dict[str, Any]:
        restart = self.chance.choice(("permanent", "permanent", "transient", "temporary"))
        options: dict[str, Any] = {"restart": restart}
        if auto != "never" and restart != "permanent" and self.chance.random() < 0.6:
            options["significant"] = True
        if is_worker:
            options["shutdown"] = self.chance.choice((*self.pace.workers, "kill"))
        elif self.chance.random() < 0.3:
            options["shutdown"] = self.chance.choice((*self.pace.supervisors, "kill", "infinity"))
        if self.chance.random() < 0.005:
            options["restart"] = "always"
        return options

    def operation(self) -> Operation:  # one clause per kind
        supervisor = self.chance.choice(list(self.supervisors))
        known = self.supervisors[supervisor]
        names = known.children if known.children and self.chance.random() < 0.95 else ["nobody"]
        about = {"sup": supervisor, "id": self.chance.choice(names)}
        match self.chance.randrange(20):
            case 0 | 1 | 2 | 3 | 4 | 5:
                reason = self.chance.choice(("normal", "shutdown", "crash", "crash"))
                return {"op": "die", "id": self.chance.choice(self.workers), "reason": reason}
            case 6 | 7:
                return self.behave()
            case 8 | 9:
                return {"op": "advance", "seconds": self.chance.choice(self.pace.advances)}
            case 10 | 11 | 12:
                return self.start_child(supervisor, known)
            case 13 | 14:
                return {"op": "terminate_child", **about}
            case 15 | 16:
                return {"op": "restart_child", **about}
            case 17:
                return {"op": "delete_child", **about}
            case 18:
                return {"op": "count_children", "sup": supervisor}
            case _:
                return {"op": self.chance.choice(("which_children", "which_children", "status")), "sup": supervisor}

    def start_child(self, supervisor: str, known: "_Known") -> Operation:
        if not known.is_dynamic:
            again = self.chance.random() < 0.1 and bool(known.children)
            child = {"id": self.chance.choice(known.children)} if again else self.child(known, 1)
            return {"op": "start_child", "sup": supervisor, "child": child}
        self.count += 1
        self.workers.append(f"x{self.count}")
        return {"op": "start_child", "sup": supervisor, "child": {"id": f"x{self.count}"}}

    def behave(self) -> Operation:
        worker = self.chance.choice(self.workers)
        if self.chance.random() < 0.6:
            how = self.chance.choice(("ok", "ok", "fail", "fail 1", "fail 2", "ignore"))
            return {"op": "behave", "id": worker, "start": how}
        return {"op": "behave", "id": worker, "stop": self.chance.choice(self.pace.stops)}


@dataclass(frozen=True, slots=True)
class _Known:
    """What the writer knows of a supervisor: what it is, its auto_shutdown, its children's ids so far."""

    is_dynamic: bool
    may_be_killed: bool
    auto: str
    children: list[str]
