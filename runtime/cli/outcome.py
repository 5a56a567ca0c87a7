"""Outcomes: the exit codes of the command line, and the line printed for each error."""

from actors.errors import (
    ActorError,
    AskFailed,
    ConfigError,
    NoSuchMessage,
    NoSuchSystem,
    NotAMessage,
    NotFound,
    NotRunning,
    StartFailed,
    SystemGone,
    Unencodable,
)

OK = 0
FAILED = 1  # the system failed, gave up, or refused
USAGE = 2  # bad usage or configuration
ABSENT = 3  # no such system or child, or it is not running
UNANSWERED = 4  # the message failed
SIGNALLED = 128  # plus the signal's number, as shells have it
INTERRUPTED = 130
UNREAD = 141  # SIGPIPE's: its output's reader went away


def code_of(error: ActorError) -> int:
    """The exit code for an error."""
    match error:
        case ConfigError():
            return USAGE
        case NoSuchSystem() | NotFound() | NotRunning() | SystemGone():
            return ABSENT
        case AskFailed() | NoSuchMessage() | NotAMessage() | Unencodable():
            return UNANSWERED
        case _:
            return FAILED


def text_of(error: ActorError) -> str:
    """What is printed of an error: one line; of a configuration one per problem; of a failed start its certificate."""
    match error:
        case ConfigError():
            return str(error)
        case StartFailed(certificate=certificate) if certificate is not None:
            return f"error: {certificate.report()}"
        case _:
            return f"error: {error}"
