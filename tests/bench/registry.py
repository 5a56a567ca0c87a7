"""Which benches there are, by name, in the order of a full run."""

from collections.abc import Callable, Iterator

from tests.bench.decision import decide
from tests.bench.flood import flood
from tests.bench.groups import group, responsive, snapshot
from tests.bench.lives import boot, restart, start
from tests.bench.messages import address, ask, fanin, pipelined, tell
from tests.bench.payload import payload
from tests.bench.peers import peers
from tests.bench.region import region
from tests.bench.row import Row
from tests.bench.scale import Scale
from tests.bench.spinning import chain, pairs
from tests.bench.trees import idle, thousand
from tests.bench.web import web

Bench = Callable[[Scale], Iterator[Row]]

BENCHES: dict[str, Bench] = {
    bench.__name__: bench
    for bench in (
        *(ask, tell, address, pipelined, fanin, flood, start, restart, payload, region, boot, thousand, idle, chain),
        *(pairs, decide, group, responsive, snapshot, web, peers),
    )
}
