"""A dead letter: a message that nobody handled."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Letter:
    """What is known of one. What it carried is not shown: only its actor opens it.

    Attributes:
        id: to resend or drop it by.
        actor: dotted path of the actor it was for.
        when: Unix time of its end, in seconds; on a `Stage` the virtual time.
        why: in a few words.
        nbytes: of its frame and payload; 0 on a `Stage`.
        message: its name; "" when that is not known, since only its actor opens it.
        asked: somebody waited for its answer, and has been told.
        attempt: how often its handler had begun; 0: never.
    """

    id: int
    actor: str
    when: float
    why: str
    nbytes: int
    message: str = ""
    asked: bool = False
    attempt: int = 0
