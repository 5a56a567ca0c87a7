"""Scripts written by hand, by the cases they show: name → operations. Their answers are recorded from a real Erlang."""

from typing import Any

from tests.conformance.answers import Operation

Child = dict[str, Any]


def worker(name: str, restart: str = "permanent", **options: Any) -> Child:
    """A worker; the rest as in a CHILD."""
    return {"id": name, "restart": restart, **options}


def nested(name: str, tree: Operation, **options: Any) -> Child:
    """A supervisor as a child."""
    return {"id": name, "tree": tree, **options}


def tree(*children: str | Child, strategy: str = "one_for_one", most: int = 10, **flags: Any) -> Operation:
    """A tree; a string is a worker with OTP's defaults."""
    plain = [{"id": child} if isinstance(child, str) else child for child in children]
    return {"strategy": strategy, "max_restarts": most, "max_seconds": 300, "children": plain, **flags}


def dynamic(most: int = 10, auto_shutdown: str = "never", **template: Any) -> Operation:
    """A dynamic supervisor."""
    flags = {"max_restarts": most, "max_seconds": 300, "auto_shutdown": auto_shutdown}
    return {"strategy": "dynamic", "template": template, **flags}


def start(tree: Operation) -> Operation:
    """Start a tree."""
    return {"op": "start_tree", "tree": tree}


def add(child: str | Child, sup: str = "root") -> Operation:
    """Add a child."""
    return {"op": "start_child", "sup": sup, "child": {"id": child} if isinstance(child, str) else child}


def terminate(name: str, sup: str = "root") -> Operation:
    """Stop a child."""
    return {"op": "terminate_child", "sup": sup, "id": name}


def restart(name: str, sup: str = "root") -> Operation:
    """Start a stopped child."""
    return {"op": "restart_child", "sup": sup, "id": name}


def delete(name: str, sup: str = "root") -> Operation:
    """Drop a stopped child's specification."""
    return {"op": "delete_child", "sup": sup, "id": name}


def die(name: str, reason: str = "crash") -> Operation:
    """A worker exits by itself."""
    return {"op": "die", "id": name, "reason": reason}


def starts(name: str, how: str) -> Operation:
    """How the next starts of a worker go."""
    return {"op": "behave", "id": name, "start": how}


def stops(name: str, how: str) -> Operation:
    """How a worker takes a polite stop."""
    return {"op": "behave", "id": name, "stop": how}


def look(sup: str = "root") -> list[Operation]:
    """Children and counts of a supervisor."""
    return [{"op": op, "sup": sup} for op in ("which_children", "count_children")]


def advance(seconds: float) -> Operation:
    """Time passes."""
    return {"op": "advance", "seconds": seconds}


STATUS: Operation = {"op": "status"}
STOP: Operation = {"op": "stop"}
ALL_FOUR = ("a", "b", "d", "e")
TYPES = ("permanent", "transient", "temporary")
REASONS = ("normal", "shutdown", "crash")
GROUPS = ("one_for_all", "rest_for_one")


def written() -> dict[str, list[Operation]]:
    """All scripts written by hand."""
    return {
        **_start_and_init(),
        **_validation(),
        **_administration(),
        **_restart_types(),
        **_strategies(),
        **_intensity(),
        **_shutdown(),
        **_auto_shutdown(),
    }


def _start_and_init() -> dict[str, list[Operation]]:
    inner = nested("p", tree("x", "y"))
    return {
        "before a tree": [STATUS, STOP, *look(), die("a"), terminate("a"), starts("a", "ok"), advance(0.01)],
        "case 1: empty": [start(tree()), *look(), STATUS, STOP, STATUS, *look()],
        "case 1: one child": [start(tree("a")), *look(), start(tree("b")), STOP, start(tree("c")), STOP],
        "case 4: order": [start(tree(*ALL_FOUR, inner, "f")), *look(), *look("p"), STOP],
        "case 5: second fails": [starts("b", "fail"), start(tree("a", "b", "d")), STATUS, start(tree("a")), STOP],
        "case 5: below": [starts("y", "fail"), start(tree("a", inner, "f")), STATUS, *look("p")],
        "case 5: dynamic beside": [starts("b", "fail"), start(tree("a", nested("p", dynamic()), "b")), STATUS],
        "case 6: static": [
            *(starts(restart, "ignore") for restart in TYPES),
            start(tree(*(worker(restart, restart) for restart in TYPES))),
            *look(),
            *(restart_ignored for name in TYPES for restart_ignored in (restart(name), starts(name, "ok"))),
            *(restart(name) for name in TYPES),
            *look(),
            STOP,
        ],
        "case 6: added": [
            start(tree()),
            *(starts(restart, "ignore") for restart in TYPES),
            *(add(worker(restart, restart)) for restart in TYPES),
            *look(),
            STOP,
        ],
        "case 6: dynamic": [
            start(tree(nested("p", dynamic()))),
            starts("x1", "ignore"),
            add("x1", "p"),
            *look("p"),
            STOP,
        ],
        "case 6: ignored restart": [start(tree("a", "b")), starts("a", "ignore"), die("a"), *look(), die("a"), STOP],
    }


def _validation() -> dict[str, list[Operation]]:
    bad_children: list[Child] = [
        {},
        worker("a", "always"),
        worker("a", shutdown=-1),
        worker("a", shutdown="soon"),
        worker("a", shutdown=1.5),
        worker("a", "transient", significant="yes"),
        worker("a", "transient", significant=True),
        worker("a", "permanent", significant=True),
        worker("a", "always", shutdown=-1),
        worker("a", colour="red"),
    ]
    bad_flags: list[dict[str, Any]] = [
        {"strategy": "all"},
        {"most": -1},
        {"most": 1.5},
        {"max_seconds": 0},
        {"max_seconds": "infinity"},
        {"max_seconds": 2.5},
        {"auto_shutdown": "sometimes"},
        {"strategy": "all", "most": -1, "auto_shutdown": "sometimes"},
        {"colour": "blue"},
    ]
    permanent = worker("a", significant=True)
    return {
        "case 9: at the start": [step for child in bad_children for step in (start(tree("z", child)), STOP)],
        "case 9: added": [start(tree("z")), *(add(child) for child in bad_children if child), *look(), STOP],
        "case 9: in a template": [start(dynamic(restart="always")), start(dynamic(shutdown=-5)), STATUS],
        "case 10: flags": [step for flags in bad_flags for step in (start(tree("z", **flags)), STATUS, STOP)],
        "case 10: before children": [start(tree(worker("a", "always"), strategy="all")), STATUS],
        "case 10: below": [start(tree("a", nested("p", tree(strategy="all")))), STATUS],
        "case 10: added below": [start(tree("a")), add(nested("p", tree("x", most=-1))), *look(), STOP],
        "case 11: twice": [start(tree("a", "b", "a")), STATUS, start(tree(nested("a", tree()), "a")), STATUS],
        "case 12": [
            start(tree(permanent, auto_shutdown="any_significant")),
            start(tree(worker("a", "transient", significant=True))),
            start(tree(worker("a", "transient", significant=True), auto_shutdown="all_significant")),
            add(worker("b", significant=True)),
            STOP,
        ],
        "case 13": [start({"strategy": "dynamic"}), STATUS, start(tree(nested("p", {"strategy": "dynamic"}))), STATUS],
        "cases 8 and 33: defaults": [start({"children": [{"id": "a"}]}), die("a"), *look(), die("a"), STATUS],
    }


def _administration() -> dict[str, list[Operation]]:
    inner = nested("p", tree("x", "y"))
    return {
        "case 14": [
            start(tree("a")),
            add("a"),
            add("b"),
            terminate("b"),
            add("b"),
            starts("c", "fail"),
            add("c"),
            *look(),
            starts("c", "ok"),
            add("c"),
            *look(),
            STOP,
        ],
        "case 14: a supervisor": [
            start(tree("a")),
            starts("y", "fail 1"),
            add(inner),
            *look(),
            add(inner),
            *look("p"),
            add("z", "p"),
            die("z"),
            STOP,
        ],
        "case 15": [
            start(tree(*(worker(restart, restart) for restart in TYPES), most=0)),
            *(terminate(name) for name in TYPES),
            *look(),
            *(terminate(name) for name in TYPES),
            terminate("nobody"),
            STATUS,
            STOP,
        ],
        "case 15: a supervisor": [
            start(tree("a", inner)),
            add("z", "p"),
            terminate("p"),
            *look(),
            *look("p"),
            restart("p"),
            *look("p"),
            STOP,
        ],
        "case 16": [start(tree("a")), delete("a"), terminate("a"), delete("a"), delete("a"), *look(), add("a"), STOP],
        "case 17": [
            start(tree("a")),
            restart("a"),
            restart("nobody"),
            terminate("a"),
            starts("a", "fail 1"),
            restart("a"),
            *look(),
            restart("a"),
            *look(),
            STOP,
        ],
        "case 18": [start(tree("a")), *look("nobody"), add("b", "nobody"), terminate("a", "a"), die("root"), STOP],
        "case 19": [
            start(tree(nested("p", dynamic()))),
            add("x1", "p"),
            add("x2", "p"),
            *look("p"),
            terminate("x1", "p"),
            delete("x1", "p"),
            restart("x1", "p"),
            terminate("nobody", "p"),
            starts("x3", "fail"),
            add("x3", "p"),
            *look("p"),
            STOP,
        ],
        "case 20": [
            start(tree("a", worker("b", "temporary"), nested("p", tree("x")), nested("q", dynamic()))),
            add("c"),
            terminate("a"),
            die("b", "normal"),
            *look(),
            *look("p"),
            *look("q"),
            STOP,
        ],
    }


def _restart_types() -> dict[str, list[Operation]]:
    scripts = {
        f"cases 22 to 24: {kind}, {reason}": [
            start(tree("z", worker("a", kind))),
            die("a", reason),
            *look(),
            die("a", reason),
            *look(),
            STOP,
        ]
        for kind in TYPES
        for reason in REASONS
    }
    return scripts | {
        "case 24: intensity 0": [start(tree("z", worker("a", "temporary"), most=0)), die("a"), STATUS, *look(), STOP],
        "case 24: started again": [start(tree(worker("a", "temporary"))), die("a"), add("a"), *look(), STOP],
    }


def _strategies() -> dict[str, list[Operation]]:
    temporary = worker("b", "temporary")
    crashes = [step for name in ALL_FOUR for step in (die(name), *look())]
    scripts: dict[str, list[Operation]] = {}
    for strategy in ("one_for_one", *GROUPS):
        scripts |= {
            f"cases 25 to 27: {strategy}": [start(tree(*ALL_FOUR, strategy=strategy)), *crashes, STOP],
            f"cases 25 to 27: {strategy}, a temporary sibling": [
                start(tree("a", temporary, "d", "e", strategy=strategy)),
                die("a"),
                *look(),
                STOP,
            ],
            f"cases 25 to 27: {strategy}, a nested one": [
                start(tree("a", nested("p", tree("x", "y", strategy=strategy)), "e", strategy=strategy)),
                add("z", "p"),
                die("x"),
                *look("p"),
                die("a"),
                *look("p"),
                STOP,
            ],
            f"case 28: {strategy}": [
                start(tree("a", worker("b", "transient"), worker("d", "temporary"), "e", strategy=strategy)),
                die("b", "normal"),
                die("d", "crash"),
                *look(),
                STOP,
            ],
            f"case 29: {strategy}": [
                start(tree("a", worker("b", "transient"), "d", worker("e", "temporary"), "f", strategy=strategy)),
                die("b", "normal"),
                terminate("d"),
                terminate("e"),
                *look(),
                die("f"),
                *look(),
                die("a"),
                *look(),
                STOP,
            ],
            f"cases 30 and 31: {strategy}": [
                start(tree("a", "b", "d", strategy=strategy)),
                starts("b", "fail 2"),
                die("a"),
                *look(),
                starts("d", "fail 3"),
                die("b"),
                *look(),
                STOP,
            ],
            f"cases 26 and 27: {strategy}, ignored": [
                start(tree("a", "b", worker("d", "temporary"), "e", strategy=strategy)),
                starts("b", "ignore"),
                die("a"),
                *look(),
                starts("b", "ok"),
                die("a"),
                *look(),
                STOP,
            ],
        }
    for kind in TYPES:
        scripts[f"case 32: {kind}"] = [
            start(tree(nested("p", dynamic(restart=kind)))),
            add("x1", "p"),
            add("x2", "p"),
            *(step for reason in REASONS for step in (die("x1", reason), *look("p"))),
            die("x2"),
            *look("p"),
            STOP,
        ]
    return scripts


def _intensity() -> dict[str, list[Operation]]:
    inner = nested("p", tree("x", "y", most=1))
    return {
        "case 33: 0": [start(tree("a", "b", most=0)), die("a"), STATUS, *look(), die("b"), STOP],
        "case 34: expired": [
            start(tree("a", most=1, max_seconds=1)),
            die("a"),
            advance(2.1),
            die("a"),
            STATUS,
            die("a"),
            STATUS,
        ],
        "case 35": [start(tree("a", "b", most=5)), starts("b", "fail"), die("b"), STATUS],
        "case 35: just enough": [start(tree("a", "b", most=5)), starts("b", "fail 4"), die("b"), *look(), die("a"), STATUS],
        "case 36: groups": [
            start(tree(*ALL_FOUR, strategy="one_for_all", most=2)),
            die("a"),
            die("e"),
            STATUS,
            die("b"),
            STATUS,
        ],
        "case 37": [
            start(tree("a", inner, nested("q", dynamic(most=0)), most=2)),
            add("x1", "q"),
            add("z", "p"),
            die("x"),
            die("y"),
            *look("p"),
            die("x1"),
            *look("q"),
            die("x"),
            die("x"),
            STATUS,
        ],
        "case 37: transient": [
            start(tree("a", nested("p", tree("x", most=0), restart="transient"))),
            die("x"),
            *look(),
            restart("p"),
            *look(),
            STOP,
        ],
        "case 37: temporary": [start(tree("a", nested("p", tree("x", most=0), restart="temporary"))), die("x"), *look(), STOP],
        "case 37: to the root": [
            start(tree("a", nested("p", tree(nested("q", tree("x", most=0)), most=0)), most=0)),
            die("x"),
            STATUS,
        ],
        "case 37: a nested start fails": [start(tree("a", inner)), starts("y", "fail"), die("x"), die("x"), STATUS],
        "case 38": [start(tree("a", nested("p", tree("x", nested("q", tree("y", "z")))), strategy="one_for_all")), die("y"), STOP],
    }


def _shutdown() -> dict[str, list[Operation]]:
    below = nested("q", tree("x", worker("y", shutdown=100)))
    return {
        "case 39": [start(tree("a", worker("b", shutdown=200), "c")), stops("b", "hang"), terminate("b"), *look(), STOP],
        "case 39: the tree": [start(tree("a", worker("b", shutdown=200), "c")), stops("b", "hang"), STOP],
        "case 40": [start(tree("a", worker("b", shutdown="kill"), worker("c", shutdown="infinity"))), terminate("b"), STOP],
        "case 40: a supervisor": [
            start(tree("a", nested("p", tree("x", "y"), shutdown="kill"))),
            terminate("p"),
            restart("p"),
            STOP,
        ],
        "case 40: below a killed supervisor": [
            start(tree(nested("p", tree("a", below), shutdown="kill"))),
            STOP,
            start(tree(nested("p", tree("a", nested("q", dynamic())), shutdown="kill"))),
            add("x1", "q"),
            add("x2", "q"),
            STOP,
        ],
        "case 39: a supervisor": [
            start(tree("a", nested("p", tree("x", worker("y", shutdown=2000), "z"), shutdown=400))),
            stops("y", "hang"),
            terminate("p"),
            *look(),
            stops("y", "ok"),
            restart("p"),
            STOP,
        ],
        "case 39: below a late supervisor": [
            start(tree(nested("p", tree("a", nested("q", tree("x", worker("y", shutdown=700)))), shutdown=400))),
            stops("y", "hang"),
            STOP,
        ],
        "case 41": [start(tree("a", "b", worker("c", "temporary"))), *(stops(name, "crash") for name in "abc"), STOP],
        "case 41: one": [start(tree("a", "b")), stops("a", "crash"), terminate("a"), *look(), die("b"), STOP],
        "case 43: static": [
            start(tree(*(worker(name, shutdown=150) for name in "abc"))),
            *(stops(name, "hang") for name in "abc"),
            STOP,
        ],
        "case 43: dynamic": [
            start(tree("a", nested("p", dynamic(shutdown=300)))),
            *(add(name, "p") for name in ("x1", "x2", "x3")),
            stops("x1", "hang"),
            stops("x2", "crash"),
            terminate("p"),
            *look(),
            STOP,
        ],
        "case 43: dynamic, kill": [start(tree("a", nested("p", dynamic(shutdown="kill")))), add("x1", "p"), STOP],
        "case 43: dynamic root": [start(dynamic(shutdown=300)), add("x1"), add("x2"), stops("x2", "hang"), STOP, STATUS],
        "case 26: a sibling hangs": [
            start(tree("a", worker("b", shutdown=200), "c", strategy="one_for_all")),
            stops("b", "hang"),
            die("a"),
            *look(),
            stops("b", "crash"),
            die("c"),
            STOP,
        ],
    }


def _auto_shutdown() -> dict[str, list[Operation]]:
    scripts: dict[str, list[Operation]] = {}
    for auto in ("any_significant", "all_significant"):
        for kind in ("transient", "temporary"):
            pair = [worker(name, kind, significant=True) for name in ("s", "t")]
            scripts |= {
                f"cases 46 and 47: {auto}, {kind}, {reason}": [
                    start(tree("a", *pair, worker("b", "temporary"), auto_shutdown=auto)),
                    die("b"),
                    STATUS,
                    die("s", reason),
                    STATUS,
                    *look(),
                    die("t", reason),
                    STATUS,
                ]
                for reason in REASONS
            }
            scripts[f"case 45: {auto}, {kind}"] = [
                start(tree("a", *pair, auto_shutdown=auto)),
                terminate("s"),
                terminate("t"),
                STATUS,
                *look(),
                STOP,
            ]
            scripts[f"cases 46 and 47: dynamic, {auto}, {kind}"] = [
                start(tree("a", nested("p", dynamic(5, auto, restart=kind, significant=True), restart="transient"))),
                *(add(name, "p") for name in ("x1", "x2", "x3")),
                die("x1"),
                *look("p"),
                die("x2", "normal"),
                *look("p"),
                die("x3", "shutdown"),
                *look(),
                STOP,
            ]
        for strategy in GROUPS:
            scripts[f"case 48: {auto}, {strategy}"] = [
                start(tree("a", worker("s", "temporary", significant=True), "b", strategy=strategy, auto_shutdown=auto)),
                die("a"),
                STATUS,
                *look(),
                STOP,
            ]
    inner = tree(worker("x", "transient", significant=True), "y", auto_shutdown="any_significant")
    for kind in TYPES:
        scripts[f"case 49: {kind}"] = [start(tree("a", nested("p", inner, restart=kind))), die("x", "normal"), *look(), STOP]
    scripts["case 49: significant"] = [
        start(tree("a", nested("p", inner, restart="transient", significant=True), auto_shutdown="any_significant")),
        die("x", "normal"),
        STATUS,
    ]
    return scripts
