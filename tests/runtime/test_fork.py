"""Siblings: forks whose parent is ours. And the rehearsal, which leaves nothing."""

import ctypes
import errno
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime import host
from runtime.mailbox import fifo, page
from runtime.mailbox.inbox import Inbox
from runtime.process.fork import can_fork_sibling, fork_sibling, fork_twice, loaded_libraries

pytestmark = pytest.mark.process

needs_siblings = pytest.mark.skipif(not can_fork_sibling(set()), reason="this libc or machine is not known")


def told_by(child: Callable[[], object], *, by_sibling: bool = True) -> tuple[str, int, int]:
    """What child() says in a fork that a fork of ours makes; the pid it has, and the pid that was reported of it."""
    read, write = os.pipe()
    forker = os.fork()
    if forker == 0:
        pid = fork_sibling() if by_sibling else fork_twice(lambda _: _say(write, child))
        if pid == 0:
            _say(write, child)
        os._exit(0)
    os.waitpid(forker, 0)
    with open(read, "rb") as said:
        os.close(write)
        text, _, pid = said.read().decode().rpartition(" ")
    return text, int(pid), forker


def _say(write: int, child: Callable[[], object]) -> None:
    try:
        os.write(write, f"{child()} {os.getpid()}".encode())
    finally:
        os._exit(0)


@needs_siblings
def test_a_sibling_is_the_child_of_its_forkers_parent() -> None:
    parent, pid, forker = told_by(os.getppid)

    assert int(parent) == os.getpid()
    assert pid != forker
    assert os.waitpid(pid, 0) == (pid, 0)


@needs_siblings
def test_functions_registered_with_python_run_in_a_sibling() -> None:
    ran: list[int] = []
    os.register_at_fork(after_in_child=lambda: ran.append(os.getpid()))

    said, pid, _ = told_by(lambda: ran[-1])
    os.waitpid(pid, 0)

    assert int(said) == pid


@needs_siblings
def test_libc_knows_a_siblings_thread_by_its_own_id() -> None:
    libc = ctypes.CDLL(None)
    own, mutex, tid = ctypes.create_string_buffer(64), ctypes.create_string_buffer(64), ctypes.c_int()

    def owner_of_a_locked_mutex() -> bool:
        libc.pthread_mutexattr_init(own)
        libc.pthread_mutexattr_settype(own, 2)  # PTHREAD_MUTEX_ERRORCHECK: it notes who has it
        libc.pthread_mutex_init(mutex, own)
        libc.pthread_mutex_lock(mutex)
        ctypes.memmove(ctypes.byref(tid), ctypes.byref(mutex, 8), 4)  # pthread_mutex_t.__data.__owner
        return tid.value == os.getpid() == threading.get_native_id()

    said, pid, _ = told_by(owner_of_a_locked_mutex)
    os.waitpid(pid, 0)

    assert said == "True"


@needs_siblings
def test_the_kernel_knows_a_siblings_robust_mutexes() -> None:
    said, pid, _ = told_by(lambda: can_fork_sibling(set()))  # it asks for their list
    os.waitpid(pid, 0)

    assert said == "True"


def test_a_grandchild_of_two_forks_is_reported_by_its_pid() -> None:
    said, pid, _ = told_by(os.getpid, by_sibling=False)

    assert int(said) == pid


@needs_siblings
def test_beside_a_library_that_is_told_of_forks_there_are_no_siblings(tmp_path: Path) -> None:
    quiet, told = tmp_path / "quiet.so", tmp_path / "told.so"
    quiet.write_bytes(b"\x7fELF\0memcpy\0")
    told.write_bytes(b"\x7fELF\0memcpy\0__register_atfork\0")

    assert can_fork_sibling({str(quiet)})
    assert not can_fork_sibling({str(quiet), str(told)})
    assert not can_fork_sibling({str(tmp_path / "removed.so")})


def test_the_libraries_of_this_process_are_files_that_are_mapped() -> None:
    assert any(Path(path).name.startswith(("libc.", "libc-", "ld-")) for path in loaded_libraries())


def test_a_rehearsal_leaves_nothing() -> None:
    host.warm_up(1)  # what is made once for all of them
    stderr, opened, opens = sys.stderr, set(os.listdir("/proc/self/fd")), (fifo.open_read, fifo.open_write)

    host.warm_up(3)

    assert set(os.listdir("/proc/self/fd")) == opened
    assert sys.stderr is stderr
    assert (fifo.open_read, fifo.open_write) == opens


def test_a_rehearsal_is_a_whole_life(monkeypatch: pytest.MonkeyPatch) -> None:
    lived: list[str] = []
    monkeypatch.setattr(Inbox, "done", lambda _inbox, _token, name, _value: lived.append(name))

    host.warm_up(1)

    assert set(lived) == {"say"}


def test_a_rehearsal_without_descriptors_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, "none left")

    opened = set(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(page, "create", refuse)

    host.warm_up(1)

    assert set(os.listdir("/proc/self/fd")) == opened
