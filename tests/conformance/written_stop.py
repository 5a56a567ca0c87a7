"""Scripts written by hand: shutdown, and auto_shutdown."""

from tests.conformance.answers import Operation
from tests.conformance.words import (
    GROUPS,
    REASONS,
    STATUS,
    STOP,
    TYPES,
    add,
    die,
    dynamic,
    look,
    nested,
    restart,
    start,
    stops,
    terminate,
    tree,
    worker,
)


def scripts() -> dict[str, list[Operation]]:
    """All of them."""
    return {**_shutdown(), **_auto_shutdown()}


def _shutdown() -> dict[str, list[Operation]]:
    below = nested("q", tree("x", worker("y", shutdown=100)))
    return {
        "case 39": [
            start(tree("a", worker("b", shutdown=200), "c")),
            stops("b", "hang"),
            terminate("b"),
            *look(),
            STOP,
        ],
        "case 39: the tree": [start(tree("a", worker("b", shutdown=200), "c")), stops("b", "hang"), STOP],
        "case 40": [
            start(tree("a", worker("b", shutdown="kill"), worker("c", shutdown="infinity"))),
            terminate("b"),
            STOP,
        ],
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
        "case 43: dynamic root": [
            start(dynamic(shutdown=300)),
            add("x1"),
            add("x2"),
            stops("x2", "hang"),
            STOP,
            STATUS,
        ],
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
                start(
                    tree("a", worker("s", "temporary", significant=True), "b", strategy=strategy, auto_shutdown=auto)
                ),
                die("a"),
                STATUS,
                *look(),
                STOP,
            ]
    inner = tree(worker("x", "transient", significant=True), "y", auto_shutdown="any_significant")
    for kind in TYPES:
        scripts[f"case 49: {kind}"] = [
            start(tree("a", nested("p", inner, restart=kind))),
            die("x", "normal"),
            *look(),
            STOP,
        ]
    scripts["case 49: significant"] = [
        start(tree("a", nested("p", inner, restart="transient", significant=True), auto_shutdown="any_significant")),
        die("x", "normal"),
        STATUS,
    ]
    return scripts
