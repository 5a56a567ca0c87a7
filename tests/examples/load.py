"""A load on the web shop, from a process of its own: python -m tests.examples.load PORT SECONDS CONNECTIONS

Each connection sends one request after the other: orders of one tea, and looks at the stock. What came back is printed
as one JSON object. A connection that breaks is an error of the test, not of the load: nothing is tried again.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

_BODY = b'{"item":"tea","quantity":1}'
_ORDER = b"POST /orders HTTP/1.1\r\nhost: shop\r\ncontent-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
_LOOK = b"GET /stock/tea HTTP/1.1\r\nhost: shop\r\n\r\n"


@dataclass(slots=True)
class Outcome:
    """What came back.

    Attributes:
        statuses: HTTP status → how many.
        receipts: of the orders that were answered 201.
        failures: bodies of everything that was no success.
        longest_gap: the longest time, in seconds, in which no request succeeded.
    """

    statuses: dict[int, int] = field(default_factory=dict)
    receipts: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    longest_gap: float = 0.0
    _last: float = field(default_factory=time.monotonic)

    def add(self, status: int, body: dict[str, Any]) -> None:
        """Note one answer."""
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status >= 400:
            self.failures.append(body)
            return
        if status == 201:
            self.receipts.append(body)
        now = time.monotonic()
        self.longest_gap = max(self.longest_gap, now - self._last)
        self._last = now


async def run(port: int, seconds: float, connections: int) -> Outcome:
    """Load the shop for so long."""
    outcome = Outcome()
    until = time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_connection(port, until, outcome))
    return outcome


async def _connection(port: int, until: float, outcome: Outcome) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    n = 0
    while time.monotonic() < until:
        n += 1
        writer.write(_LOOK if n % 4 == 0 else _ORDER)
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
        outcome.add(int(lines[0].split()[1]), json.loads(await reader.readexactly(length)))
    writer.close()
    await writer.wait_closed()


if __name__ == "__main__":
    port, seconds, connections = sys.argv[1:]
    print(json.dumps(asdict(asyncio.run(run(int(port), float(seconds), int(connections))))))
