"""Every error of Understudy, in one tree; all of them survive pickling.

    ActorError
    ├── NoContext             self.context outside a running actor
    ├── BadActor              (TypeError) a class that cannot be an actor
    ├── BadLayout             (TypeError) a class or dtype that cannot be the layout of a region
    ├── NotAMessage           (AttributeError) a name of the class that is no @message
    ├── NoSuchMessage         (AttributeError) the actor that answers to this name has no such message
    ├── NoDebugger            (RuntimeError) breakpoint() in an actor, where nobody can type
    ├── BlockingCall          (RuntimeError) a blocking call inside a running event loop
    ├── AskCycle              the ask would wait for itself
    ├── StartCycle            an actor that is starting asks its own supervisor
    ├── AskFailed             the message did not come back; `.delivered` says how far it got
    │   ├── ActorDied         … its actor died; `.certificate`
    │   ├── ActorStopped      … its actor is stopped for good
    │   ├── DeadlineExceeded  (TimeoutError) … no answer in time
    │   ├── MailboxFull       … no room in time, or `when_full = "refuse"`
    │   ├── HandlerFailed     … its handler had begun, and an ask of that handler's own failed: the cause
    │   └── SystemGone        … the supervisor is gone
    ├── Unencodable           (TypeError) an argument or a reply that cannot be sent
    ├── Undecodable           a payload that cannot be rebuilt at the receiving end
    ├── RemoteError           an exception of the actor that cannot be rebuilt here
    ├── SupervisionError      a request the supervisor refuses
    │   ├── AlreadyStarted    ├── AlreadyPresent    ├── NotFound       ├── StillRunning
    │   ├── Restarting        ├── StartFailed       ├── BadSpec        ├── DynamicSupervisor
    │   └── NotRunning
    ├── OutOfMemory           shared memory that cannot be had
    ├── RegionError           a shared region that cannot be used like this
    │   ├── RegionBusy        (TimeoutError) another holds its lock; `.holder`, `.age`
    │   ├── LayoutMismatch    it was made with another layout
    │   ├── SecondWriter      it has one writer, which is another process
    │   └── RegionDamaged     something wrote into its memory outside a transaction
    ├── NotDurable            the file that a state is to be kept in cannot be used
    ├── AlreadyRunning        another supervisor has this system's name
    ├── NoSuchSystem          there is no running system of this name
    ├── BootFailed            the supervisor's process could not be started
    ├── UnsafeDirectory       the runtime directory may be open to others
    └── ConfigError           (ValueError) a configuration file, all of its errors at once

`delivered` is the verdict on a message: "no" (it will not run, or did not), "started" (its handler had begun),
"done" (it ran, the answer was lost), "unknown".
"""

from typing import Any, Literal

from actors.certificate import DeathCertificate

Delivered = Literal["no", "started", "done", "unknown"]


class ActorError(Exception):
    """The root of all errors that Understudy raises."""


class NoContext(ActorError):
    """`self.context` was used in an instance that no supervisor started."""


class BadActor(ActorError, TypeError):
    """A class or constructor call that cannot be an actor: what, where, expected, got."""


class BadLayout(ActorError, TypeError):
    """A class, a field or a dtype that cannot be the layout of a region: what, expected, got."""


class NotAMessage(ActorError, AttributeError):
    """A reference was asked for a name that is not a `@message` of its class."""


class NoSuchMessage(ActorError, AttributeError):
    """The actor behind the reference has no message of that name."""


class NoDebugger(ActorError, RuntimeError):
    """`breakpoint()` was reached in an actor, whose stdin has nobody at it."""


class BlockingCall(ActorError, RuntimeError):
    """A call that blocks its thread was made inside a running event loop."""


class AskCycle(ActorError):
    """The ask would wait for an actor that is waiting for it; its caller is refused at once.

    A call is not sent then. An ask that was made before anybody waited for it lives on: its message may still run.

    Attributes:
        path: the addresses along the cycle, the first one again at its end.
    """

    def __init__(self, path: tuple[str, ...]) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return " → ".join(self.path)


class StartCycle(ActorError):
    """An actor that is still starting asked its own supervisor, which waits for that start."""


class AskFailed(ActorError):
    """A message whose answer did not come.

    Attributes:
        actor: dotted path of the actor it was for.
        delivered: "no", "started", "done" or "unknown".
    """

    def __init__(self, actor: str, delivered: Delivered, detail: str = "") -> None:
        super().__init__(actor, delivered, detail)
        self.actor = actor
        self.delivered: Delivered = delivered
        self.detail = detail

    def __str__(self) -> str:
        detail = f": {self.detail}" if self.detail else ""
        return f"{self.actor}{detail} (delivered: {self.delivered})"


class ActorDied(AskFailed):
    """The actor died; of a message that had been started, `delivered` is "started".

    Attributes:
        certificate: the death certificate.
    """

    def __init__(self, certificate: DeathCertificate, delivered: Delivered) -> None:
        super().__init__(certificate.actor, delivered, certificate.summary())
        self.args = (certificate, delivered)
        self.certificate = certificate

    def __str__(self) -> str:
        return f"{self.detail} (delivered: {self.delivered})"


class ActorStopped(AskFailed):
    """The actor is specified or known, but stopped for good: nothing will handle the message."""


class DeadlineExceeded(AskFailed, TimeoutError):
    """No answer came before the ask's deadline."""


class MailboxFull(AskFailed):
    """The mailbox had no room: within the deadline, or at once where it may not wait."""


class HandlerFailed(AskFailed):
    """The handler of the message was begun, and let the failure of an ask of its own through: the `__cause__`.

    Without it the verdict on the inner message would pass for that on the outer one: "no" of what has run.
    """

    def __str__(self) -> str:
        return f"{self.actor} (delivered: {self.delivered}): {self.detail}"  # the detail ends with the inner verdict

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels with its cause, which an exception else does not."""
        return type(self), self.args, {**vars(self), "__cause__": self.__cause__}


class SystemGone(AskFailed):
    """The supervisor, and with it every actor, is gone."""


def of_handler(actor: str, error: BaseException) -> BaseException:
    """What the asker of a message gets for the exception that its handler raised, at `actor`."""
    if not isinstance(error, AskFailed):
        return error
    failed = HandlerFailed(actor, "started", f"its handler failed: {type(error).__name__}: {error}")
    failed.__cause__ = error
    return failed


class Unencodable(ActorError, TypeError):
    """A value that cannot be sent.

    Attributes:
        where: path of the offending value: `add() argument 1["key"]`, or `reply of add()`.
        got: what stands there.
    """

    def __init__(self, where: str, got: str) -> None:
        super().__init__(where, got)
        self.where = where
        self.got = got

    def __str__(self) -> str:
        return f"{self.where}: expected a value that can be pickled, got {self.got}"


class Undecodable(ActorError):
    """A payload arrived and could not be rebuilt: a class that is missing there, a `__setstate__` that raised."""


class RemoteError(ActorError):
    """An exception raised in the actor whose class cannot be rebuilt faithfully here.

    Attributes:
        type_path: "module.Class" of the original.
        text: its `str()`.
        arguments: its arguments, those that could be sent; the rest as their `repr`.
        notes: its `__notes__`.
        remote_traceback: formatted in the actor.
    """

    def __init__(
        self,
        type_path: str,
        text: str,
        arguments: tuple[object, ...] = (),
        notes: tuple[str, ...] = (),
        remote_traceback: str = "",
    ) -> None:
        super().__init__(type_path, text, arguments, notes, remote_traceback)
        self.type_path = type_path
        self.text = text
        self.arguments = arguments
        self.notes = notes
        self.remote_traceback = remote_traceback

    def __str__(self) -> str:
        return f"{self.type_path}: {self.text}"


class SupervisionError(ActorError):
    """A request that the supervisor refuses.

    Attributes:
        name: dotted path of the child or supervisor it was about.
        meaning: what the kind of error says when there is no detail.
    """

    meaning = "refused"

    def __init__(self, name: str, detail: str = "") -> None:
        super().__init__(name, detail)
        self.name = name
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.name}: {self.detail or self.meaning}"


class AlreadyStarted(SupervisionError):
    """A child of that name runs (OTP's already_started)."""

    meaning = "it is running already"


class AlreadyPresent(SupervisionError):
    """A child of that name is specified, though not running (OTP's already_present)."""

    meaning = "it is specified already, though not running: restart it, or delete it first"


class NotFound(SupervisionError):
    """There is no child of that name (OTP's not_found)."""

    meaning = "there is no child of that name"


class StillRunning(SupervisionError):
    """The child runs; stop it first (OTP's running)."""

    meaning = "it is running: stop it first"


class Restarting(SupervisionError):
    """The child is being restarted (OTP's restarting)."""

    meaning = "it is being restarted"


class NotRunning(SupervisionError):
    """That supervisor is not running (OTP's noproc)."""

    meaning = "that supervisor is not running"


class DynamicSupervisor(SupervisionError):
    """A dynamic supervisor does not offer this by name (OTP's simple_one_for_one)."""

    meaning = "a dynamic supervisor does not offer this by name"


class BadSpec(SupervisionError, ValueError):
    """A child specification or supervisor flag that is not valid.

    Attributes:
        what: OTP's word for it, such as "invalid_restart_type" or "bad_combination".
    """

    def __init__(self, name: str, what: str, detail: str = "") -> None:
        super().__init__(name, detail or what)
        self.args = (name, what, detail)
        self.what = what


class StartFailed(SupervisionError):
    """A child could not be started.

    Attributes:
        certificate: of the start that failed; None when no process was involved.
    """

    meaning = "it could not be started"

    def __init__(self, name: str, detail: str = "", certificate: DeathCertificate | None = None) -> None:
        super().__init__(name, detail)
        self.args = (name, detail, certificate)
        self.certificate = certificate

    def __str__(self) -> str:
        if self.certificate is None:
            return super().__str__()
        trace = self.certificate.traceback or self.certificate.native_stack
        return self.certificate.summary() + (f"\n{trace.rstrip()}" if trace else "")


class OutOfMemory(ActorError):
    """Shared memory that cannot be had; nothing was half-made, everything else lives.

    Attributes:
        wanted: bytes asked for.
        left: bytes the system's allowance still has.
    """

    def __init__(self, wanted: int, left: int, detail: str = "") -> None:
        super().__init__(wanted, left, detail)
        self.wanted = wanted
        self.left = left
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.detail}: asked for {self.wanted} bytes, {self.left} left"


class RegionError(ActorError):
    """A shared region that cannot be used like this.

    Attributes:
        region: its name.
    """

    def __init__(self, region: str, detail: str = "") -> None:
        super().__init__(region, detail)
        self.region = region
        self.detail = detail

    def __str__(self) -> str:
        return f"region {self.region!r}: {self.detail}"


class RegionBusy(RegionError, TimeoutError):
    """Its lock was not had in time.

    Attributes:
        holder: who holds it, "inventory (pid 4711)"; "" when that could not be seen.
        age: for how long by now, in seconds.
    """

    def __init__(self, region: str, holder: str, age: float) -> None:
        super().__init__(region, f"held by {holder or 'an unknown process'} for {age:.3f} s")
        self.args = (region, holder, age)
        self.holder = holder
        self.age = age


class LayoutMismatch(RegionError):
    """It was made with another layout; the text shows the lines that differ, "-" as made, "+" as opened."""


class SecondWriter(RegionError):
    """The region was made with `writers="one"`, and another living process is that one.

    Attributes:
        holder: the writer, "inventory (pid 4711)".
    """

    def __init__(self, region: str, holder: str) -> None:
        super().__init__(region, f'made with writers="one", and the writer is {holder}')
        self.args = (region, holder)
        self.holder = holder


class RegionDamaged(RegionError):
    """It is no region, or something wrote into its memory outside a transaction."""


class NotDurable(ActorError):
    """The file that the state of an actor is to be kept in (its option `durable`) cannot be used.

    Attributes:
        path: of the file.
        detail: why.
    """

    def __init__(self, path: str, detail: str = "") -> None:
        super().__init__(path, detail)
        self.path = path
        self.detail = detail

    def __str__(self) -> str:
        return f"durable {self.path!r}: {self.detail}"


class AlreadyRunning(ActorError):
    """Another supervisor runs under this system's name.

    Attributes:
        system: the name.
        pid: of the process that holds it.
    """

    def __init__(self, system: str, pid: int) -> None:
        super().__init__(system, pid)
        self.system = system
        self.pid = pid

    def __str__(self) -> str:
        return f"system {self.system!r} is already running (pid {self.pid})"


class NoSuchSystem(ActorError):
    """There is no running system of that name."""

    def __init__(self, system: str, detail: str = "") -> None:
        super().__init__(system, detail)
        self.system = system
        self.detail = detail

    def __str__(self) -> str:
        return f"no running system {self.system!r}" + (f": {self.detail}" if self.detail else "")


class BootFailed(ActorError):
    """The supervisor's processes could not be started; the message says what they reported."""


class UnsafeDirectory(ActorError):
    """The runtime directory's owner, mode or kind would let others in."""


class ConfigError(ActorError, ValueError):
    """A configuration file that is not valid.

    Attributes:
        problems: one line each, `file:line: key: expected …, got …`.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(self.problems)
