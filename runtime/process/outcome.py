"""What comes of launches, and who is told."""

from typing import Protocol


class Outcome(Protocol):
    """Who is told what came of launches."""

    def queued(self, token: int) -> None:
        """Others stand in front of it."""

    def begun(self, token: int) -> None:
        """It is its turn, or no zygote is to be had; once more: its process exists, `launched` is about to say so."""

    def launched(self, token: int, pid: int) -> None:
        """The process exists; it is or will be our child."""

    def failed(self, token: int, error: str, stacks: str = "") -> None:
        """No process came of it; stacks: of the zygote, where that was ended for it."""

    def zygote_forked(self, pid: int) -> None:
        """There is a zygote, the first or the next one: its death is to be told by `died`."""

    def zygote_gone(self, tokens: list[int]) -> None:
        """A zygote has died with these launches unreported: end what has come of them before they are told anew."""

    def understudy(self, token: int, pid: int, fds: list[int]) -> None:
        """A process that has studied that launch waits at the other end of a socket; pid 0: it could not be forked."""

    def learned(self) -> None:
        """The zygote has imported for a launch what it had not before: understudies of that can be had (LA-8)."""

    def threads_at_import(self, token: int, module: str) -> None:
        """A warning: that module starts threads when it is imported."""
