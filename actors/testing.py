"""The Stage: actors in one thread, without processes, under virtual time; the same actors and the same references.

    with Stage() as stage:
        counter = stage.start(child(Counter, 10), name="counter")
        assert counter.add(1) == 11
        stage.advance(5.0)                        # timers fire, deadlines expire; nobody waits
        stage.crash(counter)                      # as kill -9: the next incarnation has the queue, not the state

It plays THE loop of `actors.loop`, so hooks, failures, timers, deadlines and ask cycles are those of a real system.

ST-1  Time moves in `advance`, and in a wait that nothing else can end: then to the next timer, wake-up or deadline.
ST-2  A wait runs the actor it waits for first, then whatever that one waits for, then the others in start order.
ST-3  A tell is queued; it is handled in the next wait, `run` or `advance`.
ST-4  Restarts are by restart type, at once; more than max_restarts in max_seconds stop the name for good.
ST-5  One thread: an actor in a blocking wait goes on only when the waits above it have ended.
"""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from actors.actor import Down, OnRaise
from actors.certificate import DeathCertificate
from actors.child import Child, Drain, Mailbox, RestartType, Shutdown, Tree, checked_name
from actors.deadline import DEFAULT_SECONDS, ambient
from actors.errors import (
    ActorDied,
    ActorError,
    ActorStopped,
    AlreadyPresent,
    AlreadyStarted,
    AskCycle,
    BadSpec,
    DeadlineExceeded,
    MailboxFull,
    NoSuchMessage,
    NotFound,
    StartCycle,
    StartFailed,
)
from actors.interfaces import attach, detach
from actors.message import BoundMessage, MessageEntry
from actors.ref import Ref, is_ref, name_of
from actors.rehearsal.clockwork import Killed
from actors.rehearsal.letter import Letter, Pending, copied, refuse_in_loop
from actors.rehearsal.player import ON_DOWN, Exit, Player
from actors.rehearsal.score import ActorStatus, Score
