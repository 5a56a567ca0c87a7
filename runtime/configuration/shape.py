"""The shape of a configuration file: every key, what it may hold, its default and its meaning.

One model, three uses: a file is validated by it, `understudy schema` is made from it, and the reference page is checked
against it. The defaults are those of `actors.child`; what a value may be is asked of `actors.child.checked`.

Validators raise ValueError whose text is what was expected, as in `quantity`; what was found is added by `problem`.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    WrapValidator,
    field_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from actors.actor import OnRaise
from actors.child import (
    MOST_COUNT,
    NAME,
    AutoShutdown,
    Backoff,
    ChildOptions,
    Drain,
    Host,
    Limits,
    Mailbox,
    RestartType,
    Tree,
    WhenFull,
    checked,
    checked_name,
)
from actors.region import Writers
from runtime.configuration.quantity import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    parse_duration,
    parse_every,
    parse_shutdown,
    parse_size,
)

_OPTIONS = ChildOptions()
_TREE = Tree()
_BACKOFF = Backoff()
_LIMITS = Limits()
_CLASS_PATH = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")

ACTOR, SUPERVISOR = "actor", "supervisor"
_BASICS = ("restart", "shutdown", "ready", "mailbox", "replicas", "drain", "understudies")
_CHECKED = (*_BASICS, "watchdog", "heartbeat", "limits", "snapshot_every", "durable", "durable_every")


def json_schema() -> JsonSchemaValue:
    """The schema of a configuration file, for editors: every key with its description and its default."""
    schema = FileTable.model_json_schema(schema_generator=_WithoutNull)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Understudy"}


def is_class_path(text: str) -> bool:
    """True for "module:Class", with dots on either side."""
    return _CLASS_PATH.fullmatch(text) is not None


def _class_path(value: str) -> str:
    if not is_class_path(value):
        raise ValueError('"module:Class"')
    return value


class _OrFalse:
    """A table that may be `false` instead, which is None in the model."""

    @staticmethod
    def validate(value: object, handler: ModelWrapValidatorHandler[Any]) -> object:
        return None if value is False else handler(value)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [handler(core), {"const": False}]}


def _kind(table: object) -> str:
    """Which model a child is judged by, also when it is not a valid one of either kind."""
    if not isinstance(table, dict) or "actor" in table:
        return ACTOR
    return (
        SUPERVISOR if table.keys() & (SupervisorTable.model_fields.keys() - WorkerTable.model_fields.keys()) else ACTOR
    )


_SECONDS_SCHEMA = {"anyOf": [{"type": "string", "pattern": DURATION_PATTERN}, {"type": "number", "minimum": 0}]}
_SHUTDOWN_SCHEMA = {"anyOf": [{"enum": ["kill", "infinity"]}, *_SECONDS_SCHEMA["anyOf"]]}
_EVERY_SCHEMA = {"anyOf": [{"const": "message"}, *_SECONDS_SCHEMA["anyOf"]]}
_SIZE_SCHEMA = {"anyOf": [{"type": "string", "pattern": SIZE_PATTERN}, {"type": "integer", "minimum": 0}]}

Duration = Annotated[float, BeforeValidator(parse_duration), WithJsonSchema(_SECONDS_SCHEMA)]
StopTime = Annotated[
    float | Literal["kill", "infinity"], BeforeValidator(parse_shutdown), WithJsonSchema(_SHUTDOWN_SCHEMA)
]
Every = Annotated[float | Literal["message"], BeforeValidator(parse_every), WithJsonSchema(_EVERY_SCHEMA)]
Size = Annotated[int, BeforeValidator(parse_size), WithJsonSchema(_SIZE_SCHEMA)]
Name = Annotated[str, AfterValidator(checked_name), WithJsonSchema({"type": "string", "pattern": f"^{NAME.pattern}$"})]
ClassPath = Annotated[
    str, AfterValidator(_class_path), WithJsonSchema({"type": "string", "pattern": r"^[\w.]+:[\w.]+$"})
]


class _WithoutNull(GenerateJsonSchema):
    """TOML has no null: a key that may be None in the model may be left out. Titles only repeat the keys."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        generated = super().default_schema(schema)
        return {key: value for key, value in generated.items() if (key, value) != ("default", None)}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        generated = super().dict_schema(schema)
        return {**generated, "additionalProperties": False} if "patternProperties" in generated else generated

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002  # pydantic's signature
        return False


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class MailboxTable(_Table):
    """How much may wait for an actor, and what a sender meets when it is full."""

    size: Size = Field(
        default=_OPTIONS.mailbox.size,
        description="Bytes that may wait: 4 KiB to 1 MiB, rounded up to a power of two of pages.",
    )
    when_full: WhenFull = Field(
        default=_OPTIONS.mailbox.when_full,
        description='"wait": senders wait for room until their deadline; "refuse": they get MailboxFull at once.',
    )

    def to_mailbox(self) -> Mailbox:
        """The same as `actors.child` has it."""
        return Mailbox(self.size, self.when_full)


class LimitsTable(_Table):
    """When an actor is restarted in order, between two messages. What is left out is no limit."""

    max_rss: Size | None = Field(default=None, description="Resident memory, what it shares with others included.")
    max_messages: int | None = Field(default=None, description="Messages handled and failed, 1 or more.")
    max_age: Duration | None = Field(default=None, description="Time since it was ready.")
    jitter: float = Field(
        default=_LIMITS.jitter,
        ge=0,
        le=1,
        description="Each limit is lowered by a random part of this, drawn for each process.",
    )

    def to_limits(self) -> Limits:
        """The same as `actors.child` has it."""
        return Limits(self.max_rss, self.max_messages, self.max_age, self.jitter)


class BackoffTable(_Table):
    """The delay before a restart: none for the first in a window, then `first`, doubling up to `most`."""

    first: Duration = Field(default=_BACKOFF.first, description="Delay before the second restart in a window.")
    most: Duration = Field(default=_BACKOFF.most, description="The longest delay.")
    jitter: float = Field(
        default=_BACKOFF.jitter, ge=0, le=1, description="Each delay is multiplied by a random factor in 1 ± jitter."
    )

    def to_backoff(self) -> Backoff:
        """The same as `actors.child` has it."""
        return Backoff(self.first, self.most, self.jitter)


class WorkerTable(_Table):
    """An actor: its class, its constructor's arguments, and how it is supervised."""

    actor: ClassPath = Field(description='The class, as "module:Class".')
    args: list[Any] = Field(
        default=[],
        description='Positional constructor arguments: plain data, but for {"$ref" = "payments.gateway"}, a reference, '
        'and {"$region" = "prices"}, a shared region.',
    )
    kwargs: dict[str, Any] = Field(default={}, description="Keyword constructor arguments, as `args`.")
    restart: RestartType = Field(
        default=_OPTIONS.restart,
        description='"permanent": always restarted; "transient": after an abnormal end; "temporary": never.',
    )
    shutdown: StopTime = Field(
        default=_OPTIONS.shutdown,
        description='Time for an ordered stop before SIGTERM and SIGKILL; "kill": none; "infinity": no limit.',
    )
    ready: Duration = Field(default=_OPTIONS.ready, description="Time until `on_start` must have returned.")
    mailbox: MailboxTable = Field(default=MailboxTable(), description="The bound of its mailbox.")
    on_raise: OnRaise | None = Field(
        default=None,
        description='"crash": a handler that raises ends its actor; "survive": not. Default: as the class says.',
    )
    replicas: int = Field(
        default=_OPTIONS.replicas,
        description="So many processes behind one reference, 1 to 1024; whichever is idle takes the next message.",
    )
    significant: bool = Field(
        default=_OPTIONS.significant, description="Its end may end its supervisor, as `auto_shutdown` there says."
    )
    drain: Drain = Field(
        default=_OPTIONS.drain,
        description='An ordered stop handles what is queued ("finish") or leaves it to be dead letters ("discard").',
    )
    understudies: int = Field(
        default=_OPTIONS.understudies, description="So many imported processes kept waiting in the wings, 0 to 64."
    )
    watchdog: Duration | None = Field(
        default=None,
        description="How long a message may be in hand before its actor is dumped and killed. Default: for ever.",
    )
    heartbeat: Duration | None = Field(
        default=None,
        description="How long the event loop of an async actor may be blocked before the same. Default: for ever.",
    )
    limits: LimitsTable | None = Field(
        default=None, description="Restarts it in order, between two messages, when it has used them up."
    )
    snapshot_every: int = Field(
        default=_OPTIONS.snapshot_every,
        description="So many tells that come one after the other may share a commit of the state, 1 to 1024.",
    )
    durable: str | None = Field(
        default=None,
        description="File that the state of an actor with snapshots is kept in too, relative to this file's directory.",
    )
    durable_every: Every = Field(
        default=_OPTIONS.durable_every,
        description='When: "message": before its answer is sent; or so long after its commit, in the background.',
    )

    host: Host = Field(
        default=_OPTIONS.host,
        description='"process": one of its own; "thread": a thread of one it shares with its supervisor\'s others.',
    )

    @field_validator(*_CHECKED)
    @classmethod
    def _possible(cls, value: object, info: ValidationInfo) -> object:
        """What `actors.child` finds possible, asked key by key, so that all that is not is found at once."""
        match value:
            case MailboxTable():
                option: object = value.to_mailbox()
            case LimitsTable():
                option = value.to_limits()
            case _:
                option = value
        beside = {"durable": "any"} if info.field_name == "durable_every" else {}  # whether it is there: RU-7
        options: dict[str, Any] = {**beside, str(info.field_name): option}
        checked(ChildOptions(**options), "")
        return value

    def to_options(self) -> ChildOptions:
        """The same as `actors.child` has it."""
        return ChildOptions(
            restart=self.restart,
            shutdown=self.shutdown,
            ready=self.ready,
            mailbox=self.mailbox.to_mailbox(),
            on_raise=self.on_raise,
            replicas=self.replicas,
            significant=self.significant,
            drain=self.drain,
            understudies=self.understudies,
            watchdog=self.watchdog,
            heartbeat=self.heartbeat,
            limits=None if self.limits is None else self.limits.to_limits(),
            snapshot_every=self.snapshot_every,
            durable=self.durable,
            durable_every=self.durable_every,
            host=self.host,
        )


class _Supervising(_Table):
    """What the file itself and the supervisors in it have in common."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["children"]}, {"required": ["template"]}]})

    strategy: Literal["one_for_one", "one_for_all", "rest_for_one", "dynamic"] = Field(
        default=_TREE.strategy,
        description='Who restarts with a child that died; "dynamic" (default beside `template`): instances on demand.',
    )
    max_restarts: int = Field(
        default=_TREE.max_restarts,
        ge=0,
        le=MOST_COUNT,
        description="More restarts than this within `max_seconds`, and the supervisor itself fails.",
    )
    max_seconds: Duration = Field(default=_TREE.max_seconds, description="The sliding window of `max_restarts`.")
    backoff: Annotated[BackoffTable | None, WrapValidator(_OrFalse.validate), _OrFalse()] = Field(
        default=BackoffTable(), description="Delay between restarts; false: none."
    )
    auto_shutdown: AutoShutdown = Field(
        default=_TREE.auto_shutdown,
        description="Whether the end of any, or of all, of its significant children ends the supervisor.",
    )
    children: "dict[Name, ChildTable] | None" = Field(
        default=None, description="Its children by name; they start in the order of first mention."
    )
    template: WorkerTable | None = Field(
        default=None, description="Of a dynamic supervisor: the actor that its instances are made of."
    )
    max_children: int | None = Field(
        default=None,
        ge=0,
        le=MOST_COUNT,
        description="Of a dynamic supervisor: how many instances there may be. Default: no limit.",
    )

    @field_validator("max_seconds")
    @classmethod
    def _above_zero(cls, value: float) -> float:
        if not value > 0:
            raise ValueError("a duration above 0")
        return value


class SupervisorTable(_Supervising):
    """A nested supervisor: `children`, or the `template` of a dynamic one, and how it is supervised itself."""

    restart: RestartType = Field(default=_TREE.restart, description=WorkerTable.model_fields["restart"].description)
    shutdown: StopTime = Field(
        default=_TREE.shutdown,
        description='Time for its children to stop before they are killed; "kill": none; "infinity": no limit.',
    )
    significant: bool = Field(
        default=_TREE.significant, description=WorkerTable.model_fields["significant"].description
    )


class RegionTable(_Table):
    """Memory that actors share: made before the first of them is started, there until the system ends."""

    layout: ClassPath = Field(description='What it holds: a `Layout`, or a numpy structured dtype, as "module:Name".')
    writers: Writers = Field(
        default="many",
        description='Who may write: "many", one at a time; "one": the first process that writes, until it ends.',
    )


class FileTable(_Supervising):
    """A configuration file of Understudy: a system, and the supervisor at its root."""

    name: Name | None = Field(
        default=None, description="Name of the system. Default: the file's name without its suffix."
    )
    path: list[str] = Field(
        default=["."], description="Directories that modules are imported from, relative to the file's own."
    )
    regions: dict[Name, RegionTable] = Field(default={}, description="Shared memory, by name.")
    memory: Size | None = Field(
        default=None,
        description="Shared memory that the whole system may have: large payloads, regions, snapshots. Default: half "
        "of the machine's memory, or of the cgroup's limit where that is smaller.",
    )


ChildTable = Annotated[
    Annotated[WorkerTable, Tag(ACTOR)] | Annotated[SupervisorTable, Tag(SUPERVISOR)], Discriminator(_kind)
]
for _model in (_Supervising, SupervisorTable, FileTable):
    _model.model_rebuild()  # they mention ChildTable, which mentions them
