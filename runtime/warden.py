"""The warden: waits for the owner and the supervisor, nothing else; then kills, reaps and clears up what is left.

    owner ── exec ──▶ warden ── fork ──▶ supervisor ── fork ──▶ zygote ── fork, fork ──▶ actors

WA-1  It is a subreaper: whatever its descendants leave behind, sessions of their own included, becomes its child.
WA-2  The supervisor is gone: everything is killed and reaped, the directory removed.
WA-3  The owner is gone, or has let go of the leash: the supervisor is asked to stop, and after OWNER_GONE_SECONDS it is
      treated as WA-2.
WA-4  The warden itself is gone: the supervisor, which watches it, does its work and ends.
WA-5  It is a session of its own: a terminal's Ctrl-C reaches the owner only, who stops the system in order.
"""

import argparse
import contextlib
import os
import select
import signal
import traceback
from functools import partial
from typing import NoReturn

import msgspec

from actors.errors import ActorError
from runtime import directory, host, supervisor
from runtime.claim import Claim, claim
from runtime.process import bounds, mark, prctl, streams
from runtime.process import exit as process_exit
from runtime.process.boot import Boot

OWNER_GONE_SECONDS = 0.6  # the promise is: nothing is left a second after the owner's death


def main() -> None:
    """Be the warden; started by `runtime.client` with a pipe to report to."""
    streams.stand_in()
    parser = argparse.ArgumentParser(prog="understudy-warden", description="Started by Supervisor(); not by hand.")
    parser.add_argument("system")
    parser.add_argument("owner", type=int, help="pid")
    parser.add_argument("report", type=int, help="descriptor of the pipe the owner reads")
    parser.add_argument("leash", type=int, help="descriptor of a pipe that becomes readable when the owner lets go")
    parser.add_argument("--memory", type=int, help="bytes of shared memory that the system may have")
    options = parser.parse_args()
    prctl.set_name("understudy")
    owner = _pidfd_of_parent(options.owner)
    if owner is None:
        return
    try:
        claimed = claim(options.system)
    except (ActorError, OSError) as exc:
        boot = Boot(error=type(exc).__name__, args=exc.args) if isinstance(exc, ActorError) else Boot(args=(str(exc),))
        _report(options.report, boot)
        return
    bounds.set_bounds()
    if left := directory.marks_in(claimed.lock):
        mark.end_all(left)  # of an earlier system of this name
    prctl.become_subreaper()
    warden = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(owner)
        os.close(options.leash)
        # the lock stays open in both: it is free when both are gone
        _be_supervisor(claimed, options.system, options.report, warden, options.memory)
    os.close(options.report)
    claimed.clear_siblings(mark.end_all)
    _wait((owner, options.leash), pid)
    process_exit.end_children()
    claimed.remove()
    claimed.close()


def _wait(owners: tuple[int, int], pid: int) -> None:
    """Wait until the supervisor is gone (WA-2); see that it goes when the owner is (WA-3)."""
    fd = os.pidfd_open(pid)
    poll = select.poll()
    for owner in owners:
        poll.register(owner, select.POLLIN)
    poll.register(fd, select.POLLIN)
    ready = {found for found, _ in poll.poll()}
    if fd not in ready:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, signal.SIGTERM)
        for owner in owners:
            poll.unregister(owner)
        poll.poll(OWNER_GONE_SECONDS * 1000)
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(fd, signal.SIGKILL)
    select.select([fd], [], [])
    process_exit.reap_nowait(pid)  # a debugger may hold it
    os.close(fd)


def _be_supervisor(claimed: Claim, system: str, report: int, warden: int, memory: int | None) -> NoReturn:
    code = 1
    try:
        prctl.set_name("understudy-sup")
        prctl.become_subreaper()
        watched = os.pidfd_open(warden)
        if os.getppid() == warden:
            tell = partial(_report, report, Boot(pid=os.getpid()))
            supervisor.main(claimed, system, host, watched, tell, memory)
            code = 0
    except BaseException:  # nothing may return into the warden; the owner sees it on stderr
        traceback.print_exc()
    finally:
        os._exit(code)


def _pidfd_of_parent(pid: int) -> int | None:
    """A pidfd of our parent; None when it is gone already."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if os.getppid() == pid:
        return fd
    os.close(fd)
    return None


def _report(fd: int, boot: Boot) -> None:
    with contextlib.suppress(BrokenPipeError):  # the owner is gone: the warden will notice
        os.write(fd, msgspec.json.encode(boot))
    os.close(fd)
