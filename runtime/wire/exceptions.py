"""The text that an exception from another process brings along."""


class RemoteTraceback(Exception):
    """Cause of an exception that was raised in an actor: where that was, as text, so that a traceback shows both.

    Source: `_RemoteTraceback` of concurrent.futures.process, which does the same for a pool's workers.

    Attributes:
        text: the traceback as formatted in the actor; its end, if it was too long.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'
