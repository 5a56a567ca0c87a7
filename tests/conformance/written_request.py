"""Scripts written by hand: starts, specifications, requests."""

from typing import Any

from tests.conformance.answers import Operation
from tests.conformance.words import (
    ALL_FOUR,
    STATUS,
    STOP,
    TYPES,
    Child,
    add,
    advance,
    delete,
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
    return {**_start_and_init(), **_validation(), **_administration()}


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
