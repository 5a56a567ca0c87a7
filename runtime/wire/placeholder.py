"""Placeholders: what stands in constructor arguments for something that only the actor's own process can make."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RefTo:
    """A reference that is still to be made: `{"$ref" = "payments.gateway"}` in a file.

    Attributes:
        path: dotted path of the actor it will point to, within the same system.
    """

    path: str
