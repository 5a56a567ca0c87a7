"""Scripts written by hand: restarts, whole groups of them, and too many."""

from tests.conformance.answers import Operation
from tests.conformance.words import (
    ALL_FOUR,
    GROUPS,
    REASONS,
    STATUS,
    STOP,
    TYPES,
    add,
    advance,
    die,
    dynamic,
    look,
    nested,
    restart,
    start,
    starts,
    terminate,
    tree,
    worker,
)


def scripts() -> dict[str, list[Operation]]:
    """All of them."""
    return {**_restart_types(), **_strategies(), **_intensity()}


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
        "case 35: just enough": [
            start(tree("a", "b", most=5)),
            starts("b", "fail 4"),
            die("b"),
            *look(),
            die("a"),
            STATUS,
        ],
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
        "case 37: temporary": [
            start(tree("a", nested("p", tree("x", most=0), restart="temporary"))),
            die("x"),
            *look(),
            STOP,
        ],
        "case 37: to the root": [
            start(tree("a", nested("p", tree(nested("q", tree("x", most=0)), most=0)), most=0)),
            die("x"),
            STATUS,
        ],
        "case 37: a nested start fails": [start(tree("a", inner)), starts("y", "fail"), die("x"), die("x"), STATUS],
        "case 38": [
            start(tree("a", nested("p", tree("x", nested("q", tree("y", "z")))), strategy="one_for_all")),
            die("y"),
            STOP,
        ],
    }
