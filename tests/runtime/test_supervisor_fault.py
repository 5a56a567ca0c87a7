"""A fault of the supervisor's own, in a decision that did not wait for its turn. In a process of its own: it ends it."""

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import asyncio, os, sys
import runtime.supervisor as module
from runtime import host
from runtime.claim import claim
from runtime.supervision import event

def faulty(tree, what, now):
    raise LookupError("a fault of ours")

async def main():
    module.decide = faulty
    supervisor = module.Supervisor(claim("test"), "test", host)
    def ready():
        def exited():
            supervisor.happened(event.StopTree(1))
            supervisor.decide_now()  # as the event loop calls it: what it raised would be logged, and forgotten
            print("went on")
        asyncio.get_running_loop().call_soon(exited)
    await supervisor.run(os.pidfd_open(os.getpid()), ready)

asyncio.run(asyncio.wait_for(main(), 20))
"""


def test_a_fault_in_a_decision_made_at_once_ends_the_supervisor(runtime_directory: Path) -> None:
    runtime_directory.mkdir(mode=0o700)
    command = [sys.executable, "-c", _PROGRAM, str(runtime_directory)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert ended.stdout == "went on\n", ended.stderr
    assert ended.returncode == 1
    assert ended.stderr.rstrip().endswith("LookupError: a fault of ours")
