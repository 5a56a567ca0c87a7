"""Placeholders: what stands in constructor arguments for something that only the actor's own process can make."""

from dataclasses import dataclass

from actors.layout import Layout


@dataclass(frozen=True, slots=True)
class RefTo:
    """A reference that is still to be made: `{"$ref" = "payments.gateway"}` in a file.

    Attributes:
        path: dotted path of the actor it will point to, within the same system.
    """

    path: str


@dataclass(frozen=True, slots=True)
class RegionTo:
    """A region that is still to be opened: `{"$region" = "prices"}` in a file.

    Attributes:
        name: of a region of the same file.
        layout: it was declared with.
    """

    name: str
    layout: type[Layout]
