"""Rules between keys: what each key alone cannot tell.

They are checked on the tables as tomllib gave them, beside the check of the shape and whatever its outcome, so that
all problems of a file are found at once. What has the wrong shape is passed over here: it is reported there.

RU-1  A child has exactly one of actor, children, template; the file has exactly one of children, template.
RU-2  "dynamic", template and max_children belong together.
RU-3  A significant child may end, so it is not permanent; and its supervisor says what follows (OTP's bad_combination).
RU-4  {"$ref" = …} stands alone and names an actor of the file, or one to be started under a dynamic supervisor of it.
RU-5  {"$region" = …} stands alone and names a region of the file.
RU-6  host = "thread" stands beside nothing that takes a process of its own.
RU-7  durable_every says when the file that durable names is written.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from actors.child import NAME
from runtime.configuration.position import Path
from runtime.configuration.problem import Problem, nearest, shown

Table = Mapping[str, object]

KINDS = ("actor", "children", "template")
_REF, _REGION = "$ref", "$region"


@dataclass(frozen=True, slots=True)
class Place:
    """A table that stands for the file, a child or a template.

    Attributes:
        path: where it is; () for the file itself.
        table: as tomllib gave it.
        supervisor: the table of the supervisor around it; None for the file.
        is_template: it is no child but what children are made of.
    """

    path: Path
    table: Table
    supervisor: Table | None
    is_template: bool = False


def places_of(table: Table, path: Path = (), supervisor: Table | None = None) -> Iterator[Place]:
    """The table itself and all children and templates in it, in the order of the file."""
    yield Place(path, table, supervisor)
    children = table.get("children")
    if isinstance(children, dict):
        for name, child in children.items():
            if isinstance(child, dict):
                yield from places_of(child, (*path, "children", name), table)
    template = table.get("template")
    if isinstance(template, dict):
        yield Place((*path, "template"), template, table, is_template=True)


def undecided(places: list[Place]) -> list[Problem]:
    """RU-1."""
    problems: list[Problem] = []
    for place in places:
        if place.is_template:
            continue  # always an actor, which its shape says
        kinds = KINDS if place.path else KINDS[1:]
        given = [kind for kind in kinds if kind in place.table]
        if len(given) != 1:
            expected = f"exactly one of {', '.join(kinds)}"
            problems.append(Problem(place.path or ("children",), expected, " and ".join(given) or "none"))
    return problems


def broken_rules(places: list[Place]) -> list[Problem]:
    """RU-2 to RU-7."""
    addresses = _addresses(places)
    return [
        problem
        for place in places
        for problem in (
            *_dynamic(place),
            *_significant(place),
            *_references(place, addresses),
            *_thread(place),
            *_durable(place),
        )
    ]


def is_reference(value: object) -> bool:
    """True for `{"$ref" = …}`."""
    return isinstance(value, dict) and _REF in value


def target_of(reference: Mapping[str, object]) -> str:
    """The dotted path in a `{"$ref" = …}`."""
    return str(reference[_REF])


def is_region(value: object) -> bool:
    """True for `{"$region" = …}`."""
    return isinstance(value, dict) and _REGION in value


def region_of(reference: Mapping[str, object]) -> str:
    """The name in a `{"$region" = …}`."""
    return str(reference[_REGION])


def _dynamic(place: Place) -> Iterator[Problem]:
    """RU-2."""
    table, path = place.table, place.path
    if "actor" in table:
        return
    strategy = table.get("strategy")
    if "template" in table:
        if strategy in ("one_for_one", "one_for_all", "rest_for_one"):
            yield Problem((*path, "strategy"), '"dynamic" beside template', shown(strategy))
        return
    if strategy == "dynamic":
        yield Problem((*path, "strategy"), "one_for_one|one_for_all|rest_for_one without a template", shown(strategy))
    if "max_children" in table:
        yield Problem((*path, "max_children"), 'it beside a template (strategy = "dynamic") only', "no template")


def _significant(place: Place) -> Iterator[Problem]:
    """RU-3."""
    if place.table.get("significant") is not True or place.supervisor is None:
        return
    path = (*place.path, "significant")
    restart = place.table.get("restart", "permanent")
    if restart == "permanent":
        yield Problem(path, 'restart = "transient" or "temporary" beside it', shown(restart))
    auto_shutdown = place.supervisor.get("auto_shutdown", "never")
    if auto_shutdown == "never":
        yield Problem(path, "auto_shutdown = any_significant|all_significant in its supervisor", shown(auto_shutdown))


def _thread(place: Place) -> Iterator[Problem]:
    """RU-6."""
    table, path = place.table, place.path
    if table.get("host") != "thread":
        return
    understudies, limits = table.get("understudies"), table.get("limits")
    if understudies:
        yield Problem((*path, "understudies"), 'none beside host = "thread"', shown(understudies))
    if table.get("shutdown") == "kill":
        yield Problem((*path, "shutdown"), 'a duration or "infinity" beside host = "thread"', '"kill"')
    if isinstance(limits, dict) and "max_rss" in limits:
        yield Problem((*path, "limits", "max_rss"), 'none beside host = "thread"', shown(limits["max_rss"]))


def _durable(place: Place) -> Iterator[Problem]:
    """RU-7."""
    every = place.table.get("durable_every", "message")
    if every != "message" and "durable" not in place.table:
        yield Problem((*place.path, "durable_every"), "durable beside it", shown(every))


@dataclass(frozen=True, slots=True)
class _Addresses:
    """Dotted paths of a file: of actors, of dynamic supervisors, of the other supervisors; and names of regions."""

    actors: frozenset[str]
    dynamic: frozenset[str]
    supervisors: frozenset[str]
    regions: frozenset[str]


def _addresses(places: list[Place]) -> _Addresses:
    kinds: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for place in places:
        kind = next((kind for kind in KINDS if kind in place.table), None)
        if kind is not None and not place.is_template:
            kinds[kind].add(".".join(str(name) for name in place.path[1::2]))
    regions = places[0].table.get("regions")
    return _Addresses(
        frozenset(kinds["actor"]),
        frozenset(kinds["template"]),
        frozenset(kinds["children"]),
        frozenset(regions) if isinstance(regions, dict) else frozenset(),
    )


def _references(place: Place, addresses: _Addresses) -> Iterator[Problem]:
    """RU-4 and RU-5, in the arguments of one actor."""
    for key in ("args", "kwargs"):
        for path, table in _tables((*place.path, key), place.table.get(key)):
            if _REF in table:
                yield from _reference(path, table, addresses)
            elif _REGION in table:
                yield from _region(path, table, addresses)


def _reference(path: Path, table: Table, addresses: _Addresses) -> Iterator[Problem]:
    target = table[_REF]
    if len(table) > 1:
        yield Problem(path, '"$ref" alone in its table', shown(table))
    if target in addresses.actors:
        return
    parent, _, name = str(target).rpartition(".")
    if isinstance(target, str) and parent in addresses.dynamic and NAME.fullmatch(name):
        return
    if target in addresses.supervisors | addresses.dynamic:
        yield Problem((*path, _REF), "the path of an actor in this file", f"{shown(target)}, a supervisor")
        return
    near = nearest(str(target), addresses.actors)
    yield Problem((*path, _REF), f"the path of an actor in this file{near}", shown(target))


def _region(path: Path, table: Table, addresses: _Addresses) -> Iterator[Problem]:
    name = table[_REGION]
    if len(table) > 1:
        yield Problem(path, '"$region" alone in its table', shown(table))
    if name not in addresses.regions:
        near = nearest(str(name), addresses.regions)
        yield Problem((*path, _REGION), f"the name of a region in this file{near}", shown(name))


def _tables(path: Path, value: object) -> Iterator[tuple[Path, Table]]:
    """All tables within a value, itself included; what is inside a reference is not looked into."""
    if isinstance(value, dict):
        yield path, value
        if not (is_reference(value) or is_region(value)):
            for key, inner in value.items():
                yield from _tables((*path, key), inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _tables((*path, index), inner)
