"""An actor whose module imports numpy, which is large and starts threads of its own."""

import os

import numpy as np

from actors import Actor, message


class Numeric(Actor):
    """Has an array."""

    def __init__(self) -> None:
        self.array = np.zeros(8)

    @message
    def pid(self) -> int:
        """Of its process."""
        return os.getpid()
