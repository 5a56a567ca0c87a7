"""What a warden tells its owner over a pipe: that the supervisor is up, or why not."""

import msgspec


class Boot(msgspec.Struct, frozen=True):
    """The report.

    Attributes:
        pid: of the supervisor, once it may be connected to.
        error: else, the name of an error of `actors.errors`, or "".
        args: its arguments.
    """

    pid: int = 0
    error: str = ""
    args: tuple[str | int, ...] = ()
