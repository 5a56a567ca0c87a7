"""Workers: what the supervisor holds of each name under it: its mailbox, and the process that plays it now."""

import os
import signal
from dataclasses import dataclass

from actors.certificate import DeathCertificate, MessageInHand
from actors.child import RestartType, Shutdown
from actors.role import NOTICES
from runtime.mailbox import page
from runtime.mailbox.box import Box
from runtime.plan import Program
from runtime.process import exit as process_exit
from runtime.trace import shortened

FELLOW = "fellow"
_ENDING = (signal.SIGABRT, signal.SIGTERM, signal.SIGKILL)


_HOOK_NAMES = {code: name for name, code in page.HOOKS.items()}


@dataclass(slots=True)
class Worker:
    """One name and its current process, if there is one.

    Attributes:
        path: dotted.
        program: what it runs.
        box: its mailbox; None while it is closed.
        incarnation: of the current or last process.
        token: of a launch that is under way, else 0.
        pid, pidfd: of the process, once it was launched, else 0 and -1.
        seat: of the process on the board; 0 of a thread.
        holder: what the memory it reads large payloads in says of it; see `slab.holder_of`.
        is_ready: it said so.
        is_ignored: it said that it need not run.
        is_asked: it was asked to stop.
        is_doomed: it is to be killed as soon as its pid is known.
        is_called_off: so because it was stopped, and not because its start takes too long.
        is_condemned: its process was signalled to end because of it.
        is_killed: its specification has it killed instead of asked.
        is_recycled: it was asked to end because it has used up a limit.
        cause: what it is killed for, as the certificate says it; "" when it is not.
        shutdown, restart: of its specification.
        certificate: of its last death.
    """

    path: str
    program: Program
    box: Box | None = None
    incarnation: int = 0
    token: int = 0
    pid: int = 0
    pidfd: int = -1
    seat: int = 0
    holder: int = 0
    is_ready: bool = False
    is_ignored: bool = False
    is_asked: bool = False
    is_doomed: bool = False
    is_called_off: bool = False
    is_condemned: bool = False
    is_killed: bool = False
    is_recycled: bool = False
    cause: str = ""
    shutdown: Shutdown = 5.0
    restart: RestartType = "permanent"
    certificate: DeathCertificate | None = None

    def send_signal(self, number: int) -> None:
        """Signal the process, if there is one; never another that has taken over its pid."""
        if self.pidfd >= 0:
            self.is_condemned = self.is_condemned or number in _ENDING
            try:
                signal.pidfd_send_signal(self.pidfd, number)
            except ProcessLookupError:
                return

    def gone(self) -> None:
        """The process has been reaped."""
        if self.pidfd >= 0:
            os.close(self.pidfd)
        self.pidfd = -1
        self.pid = 0
        self.is_ready = self.is_ignored = self.is_asked = self.is_doomed = self.is_condemned = False
        self.is_killed = self.is_recycled = self.is_called_off = False
        self.cause = ""


def certify(
    worker: Worker, ended: process_exit.Exit, now_ns: int, *, oom: bool = False, stacks: str = ""
) -> DeathCertificate:
    """The death certificate of a worker's process, read off its page.

    Args:
        worker: whose process has ended.
        ended: how.
        now_ns: monotonic time.
        oom: the kernel's out-of-memory killer was at work meanwhile.
        stacks: of the process whose thread it was, where that has ended.
    """
    phase = "run" if worker.is_ready else "start"
    if worker.is_asked:
        phase = "stop"
    words = worker.box.page.last_words() if worker.box is not None else ""
    words = words or stacks
    # a traceback comes with its length, what faulthandler wrote without
    is_native = worker.box is not None and not worker.box.words[page.LAST_WORDS]
    cause = "signal" if ended.signal else ("exception" if words and not is_native else "exit")
    return DeathCertificate(
        actor=worker.path,
        incarnation=worker.incarnation,
        pid=worker.pid,
        phase=phase,
        cause=worker.cause if ended.signal and worker.cause else cause,
        exit_code=ended.code,
        signal=ended.signal,
        traceback="" if is_native else words,
        native_stack=shortened(words) if is_native else "",
        oom=oom,
        in_hand=_in_hand(worker, phase, now_ns),
        log_lines=worker.box.page.log_lines() if worker.box is not None else (),
        restarts=worker.incarnation - 1,
        host=worker.program.host,
    )


def not_launched(worker: Worker, error: str, stacks: str = "") -> DeathCertificate:
    """The certificate of a start that never had a process; stacks: of the zygote, where it hung."""
    return DeathCertificate(
        worker.path,
        worker.incarnation,
        0,
        "start",
        "launch",
        traceback=error.rstrip(),
        native_stack=shortened(stacks),
        restarts=worker.incarnation - 1,
        host=worker.program.host,
    )


@dataclass(frozen=True, slots=True)
class Doing:
    """What an actor is at, by its page.

    Attributes:
        name: of the message or hook; "" of a message that is not decoded yet.
        index: of the message + 1 in its table; of a hook 0.
        attempt: of the message; 1 of a hook.
        since_ns: monotonic time.
        is_message: it came by the mailbox; a timer's did not.
    """

    name: str
    index: int
    attempt: int
    since_ns: int
    is_message: bool


def doing(box: Box) -> Doing | None:
    """What the actor of a mailbox is at; None: nothing, or it has just begun something else."""
    words = box.words
    hook, since_ns = words[page.HOOK], words[page.HOOK_NS]
    if hook:
        index = 0 if hook in _HOOK_NAMES else hook
        is_same = words[page.HOOK] == hook
        name = _HOOK_NAMES.get(hook) or message_name(box, hook)
        return Doing(name, index, 1, since_ns, is_message=False) if is_same else None
    in_hand, header, since_ns = words[page.IN_HAND], box.in_hand(), words[page.SINCE_NS]
    if header is None or words[page.IN_HAND] != in_hand:
        return None
    return Doing(message_name(box, header.index), header.index, header.state, since_ns, is_message=True)


def message_name(box: Box, index: int) -> str:
    """Name of a message by its index + 1 in the actor's table, of a notice by its own; "" when it is not known yet."""
    names, first = (NOTICES, page.NOTICES_FROM) if index >= page.NOTICES_FROM else (box.message_names(), 1)
    return names[index - first] if first <= index < first + len(names) else ""


def _in_hand(worker: Worker, phase: str, now_ns: int) -> MessageInHand | None:
    at = doing(worker.box) if worker.box is not None else None
    if at is None or (phase == "start" and not at.is_message):
        return None
    return MessageInHand(at.name, at.attempt, max(0.0, (now_ns - at.since_ns) / 1e9))
