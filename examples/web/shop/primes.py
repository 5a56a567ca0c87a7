"""Work that keeps a CPU busy. Two of these run side by side; the front sees one reference."""

import os
from typing import TypedDict

from actors import Actor, message


class Count(TypedDict):
    below: int
    primes: int
    pid: int


class Primes(Actor):
    @message
    def count(self, below: int) -> Count:
        """How many primes there are below that number, by a sieve."""
        sieve = bytearray([1]) * below
        sieve[:2] = bytes(min(below, 2))
        for n in range(2, int(below**0.5) + 1):
            if sieve[n]:
                sieve[n * n :: n] = bytes(len(range(n * n, below, n)))
        return {"below": below, "primes": sum(sieve), "pid": os.getpid()}
