"""Forking a zygote off a supervisor."""

import contextlib
import os
import signal
import socket

from runtime.process.fork import close_all_but
from runtime.process.zygote import ActorMain, Zygote

_TOLD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)  # what the supervisor's loop handles


def fork_zygote(main: ActorMain, keep: set[int], marks: int) -> tuple[int, socket.socket, int]:
    """Fork a zygote; returns its pid, our end of its socket, and a descriptor of where its stacks are written to.

    Args:
        main: what an actor process does.
        keep: descriptors that it and its actors inherit.
        marks: the system that their marks are of.
    Raises:
        OSError: there are no descriptors or no processes; nothing is half-made.
    """
    with contextlib.ExitStack() as undo:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        undo.callback(ours.close)
        undo.callback(theirs.close)
        stacks_fd = os.memfd_create("understudy-stacks", os.MFD_CLOEXEC)
        undo.callback(os.close, stacks_fd)
        supervisor = os.getpid()
        # a signal to a zygote that still has the supervisor's handlers would be told to the supervisor
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _TOLD)
        undo.callback(signal.pthread_sigmask, signal.SIG_SETMASK, before)
        pid = os.fork()
        undo.pop_all()
    if pid == 0:
        try:
            signal.set_wakeup_fd(-1)
            for number in _TOLD:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            close_all_but({theirs.fileno(), stacks_fd, *keep})
            Zygote(theirs, supervisor, main, stacks_fd, marks).run()
        finally:
            os._exit(1)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    ours.setblocking(False)
    return pid, ours, stacks_fd
