"""The thread host: a process that hosts several actors, each in a thread of its own.

    supervisor ══ socketpair ══ main thread ─ starts, joins ─▶ actor, actor, actor

Each is a life as any other (runtime.life): its own page, journal, reply FIFO and connections. What they share is the
interpreter: its modules, its lock, its standard streams, its end; and what each needs of every other (runtime.commons):
routes and letterboxes, the write ends of callers' FIFOs, the mappings of slabs.

TH-1  The main thread runs nothing of the user's: it starts a thread for each order, and tells of each that has ended.
TH-2  An end is told once the thread is joined and everything it held is closed: its successor finds the mailbox free.
TH-3  An exception, `SystemExit` included, ends one actor. A signal, `os._exit` or a fatal error ends all of them.
TH-4  A thread cannot be killed: one that hangs goes with its process.
TH-5  It is no daemon, nor are the threads that it starts unless they say so: the end of the process waits for them.
"""

import contextlib
import gc
import os
import select
import socket
import sys
import threading
from collections import deque

from actors.interfaces import using
from runtime.life import Host, live
from runtime.mailbox.page import Page
from runtime.mailbox.patience import Board
from runtime.process import prctl
from runtime.process.order import Gather, Launch, Left, decode_launch, encode
from runtime.process.zygote import exit_code, received
from runtime.route import Routes
from runtime.stderr import SharedStderr
from runtime.trace import formatted


class ThreadHost:
    """All actors of this process."""

    def __init__(
        self, gather: Gather, sock: socket.socket, board_fd: int, stderr: SharedStderr, routes: Routes
    ) -> None:
        """Host actors.

        Args:
            gather: this process's order.
            sock: to the supervisor.
            board_fd: of the board; stays the caller's.
            stderr: the process's `sys.stderr`.
            routes: of all of them.
        """
        self._gather = gather
        self._sock = sock
        self._board_fd = board_fd
        self._stderr = stderr
        self._routes = routes
        self._threads: dict[int, threading.Thread] = {}
        self._ended: deque[Left] = deque()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)

    def run(self) -> None:
        """Serve until the supervisor hangs up (TH-1)."""
        gc.freeze()  # what the zygote imported stays
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if self._wake in ready:
                self._tell()
            if self._sock.fileno() in ready:
                raw, fds = received(self._sock)
                if not raw:
                    return
                self._start(decode_launch(raw), fds)

    def _start(self, launch: Launch, fds: list[int]) -> None:
        thread = threading.Thread(target=self._be_actor, args=(launch, fds), name=launch.path, daemon=False)
        self._threads[launch.token] = thread
        try:
            thread.start()
        except RuntimeError:  # no more threads to be had
            del self._threads[launch.token]
            page = Page(fds[0])
            page.say(f"the process {os.getpid()} can start no more threads")
            page.close()
            for fd in fds:
                os.close(fd)
            self._sock.send(encode(Left(launch.token, 1)))

    def _tell(self) -> None:
        os.eventfd_read(self._wake)
        while self._ended:
            left = self._ended.popleft()
            self._threads.pop(left.token).join()  # TH-2
            self._sock.send(encode(left))
        gc.collect()  # an actor refers to itself in circles: its page, and what it had itself, is unmapped here

    def _be_actor(self, launch: Launch, fds: list[int]) -> None:
        code = 1
        try:
            code = self._play(launch, *fds)
        finally:
            with contextlib.suppress(Exception):  # as at the end of a process
                sys.stdout.flush()
            self._ended.append(Left(launch.token, code))
            os.eventfd_write(self._wake, 1)

    def _play(self, launch: Launch, page_fd: int, payload_fd: int, snapshots_fd: int = -1) -> int:
        """Be one of the actors until its end; returns what its process would have returned (TH-3)."""
        prctl.set_name(launch.path.rpartition(".")[2])
        with contextlib.ExitStack() as closing:
            page = Page(page_fd)
            os.close(page_fd)
            if snapshots_fd >= 0:
                closing.callback(os.close, snapshots_fd)
            self._stderr.keep(page.log)
            board = Board(self._board_fd, self._gather.seat, self._gather.pollers)
            host = Host(launch, page, board, thread=launch.token, routes=self._routes)
            closing.callback(host.close)
            try:
                with using(host):
                    live(host, launch, page, payload_fd, snapshots_fd)
            except SystemExit as error:
                page.say(formatted(error))
                return exit_code(error)
            except BaseException as error:  # whatever the user's code raised is the death certificate's
                page.say(formatted(error))
                return 1
        return 0
