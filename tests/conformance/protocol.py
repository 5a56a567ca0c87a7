"""The script protocol: one JSON object per line in, one out.

Every answer is `{"result": …, "trace": […]}`. Ids are unique in a whole tree, so an id says which path it is at; where
it is not known, the id itself is a path at which there is nothing.
"""

import json
from collections.abc import Mapping
from typing import Any

from actors.errors import (
    AlreadyPresent,
    AlreadyStarted,
    BadSpec,
    DynamicSupervisor,
    NotFound,
    NotRunning,
    Restarting,
    StartFailed,
    StillRunning,
    SupervisionError,
)
from runtime.supervision.spec import Path, Spec, SupervisorSpec, joined
from tests.conformance.driver import Driver
from tests.conformance.script import parse_child, parse_tree

ROOT = "root"

_KINDS = {
    AlreadyStarted: "already_started",
    AlreadyPresent: "already_present",
    NotFound: "not_found",
    StillRunning: "running",
    Restarting: "restarting",
    NotRunning: "noproc",
    DynamicSupervisor: "dynamic",
}


class Protocol:
    """One script's conversation with one driver."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._paths: dict[str, Path] = {ROOT: ""}

    def answer(self, line: str) -> str:
        """What is to be said to a line."""
        operation = json.loads(line)
        try:
            result = self._perform(operation)
        except SupervisionError as error:
            result = _told(error)
        return json.dumps({"result": result, "trace": [list(record) for record in self._driver.take_trace()]})

    def _perform(self, operation: Mapping[str, Any]) -> object:  # one clause per operation
        match operation["op"]:
            case "start_tree":
                return self._start_tree(operation)
            case "behave":
                return self._behave(operation)
            case "start_child" | "terminate_child" | "restart_child" | "delete_child":
                return self._administer(operation)
            case "die":
                return self._die(operation)
            case "which_children":
                return [list(row) for row in self._driver.which_children(self._path(operation["sup"]))]
            case "count_children":
                counts = self._driver.count_children(self._path(operation["sup"]))
                names = ("specs", "active", "supervisors", "workers")
                return {name: getattr(counts, name) for name in names}
            case "advance":
                self._driver.advance(operation["seconds"])
                return "ok"
            case "status":
                return self._status()
            case "stop":
                self._driver.stop()
                return self._status()
            case _:
                return {"error": "unknown_operation"}

    def _start_tree(self, operation: Mapping[str, Any]) -> object:
        if self._driver.status() == "running":
            raise AlreadyStarted(ROOT)
        spec = parse_tree(ROOT, operation["tree"])
        self._paths = {ROOT: ""}
        self._register(spec, "")
        self._driver.start_tree(spec)
        return "ok"

    def _behave(self, operation: Mapping[str, Any]) -> object:
        if "start" in operation:
            how, _, times = operation["start"].partition(" ")
            self._driver.behave_start(operation["id"], how, int(times) if times else None)
        if "stop" in operation:
            self._driver.behave_stop(operation["id"], operation["stop"])
        return "ok"

    def _administer(self, operation: Mapping[str, Any]) -> object:
        supervisor = self._path(operation["sup"])
        match operation["op"]:
            case "start_child":
                spec = parse_child(operation["child"])
                outcome = self._driver.start_child(supervisor, spec)
                self._register_child(spec, supervisor)
                return outcome
            case "terminate_child":
                self._driver.terminate_child(joined(supervisor, operation["id"]))
                return "ok"
            case "restart_child":
                return self._driver.restart_child(joined(supervisor, operation["id"]))
            case _:
                self._driver.delete_child(joined(supervisor, operation["id"]))
                return "ok"

    def _die(self, operation: Mapping[str, Any]) -> object:
        try:
            self._driver.die(self._path(operation["id"]), operation["reason"])
        except NotRunning:
            return {"error": "not_running"}
        return "ok"

    def _status(self) -> object:
        match self._driver.status():
            case None:
                return {"error": "noproc"}
            case "running":
                return "running"
            case reason:
                return {"exited": reason}

    def _path(self, name: str) -> Path:
        return self._paths.get(name, name)

    def _register(self, spec: SupervisorSpec, path: Path) -> None:
        for child in spec.children:
            self._register_child(child, path)

    def _register_child(self, spec: Spec, supervisor: Path) -> None:
        path = self._paths[spec.name] = joined(supervisor, spec.name)
        if isinstance(spec, SupervisorSpec):
            self._register(spec, path)


def _told(error: SupervisionError) -> dict[str, str]:
    match error:
        case BadSpec():
            return {"error": "bad_spec", "what": error.what}
        case StartFailed():
            return {"error": "start_failed", "child": error.name.rpartition(".")[2]}
        case _:
            return {"error": _KINDS[type(error)]}
