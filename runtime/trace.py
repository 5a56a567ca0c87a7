"""Stacks as people want to read them: the actor's own frames, ours left out; and those of an event loop's tasks.

No arguments and no local variables: what a message carried never gets into a log or a certificate from here.
"""

import asyncio
import re
import threading
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

from actors import loop

_ROOT = Path(__file__).resolve().parent
_LEADING_NAMES = ("host.py", "life.py", "process", "supervisor.py", "threadhost.py", "troupe.py", "warden.py")
_OURS = tuple(str(_ROOT / name) for name in _LEADING_NAMES)
_LEADING = (
    *_OURS,
    str(Path(loop.__file__).resolve()),
    str(Path(asyncio.__file__).resolve().parent),
    str(Path(threading.__file__).resolve()),
)
_OUTERMOST = "<string>"  # what `python -c` calls the code that a warden is started with, and a user's own likewise
_NATIVE_LINE = re.compile(r'  File "(.*)", line \d+ in ')


def formatted(error: BaseException) -> str:
    """The traceback of what ended an actor, without the frames that only lead to the actor's code.

    One that has no other frames is kept whole: then it is about ours.
    """
    frames = error.__traceback__
    while frames is not None and is_leading(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames or error.__traceback__))


def shortened(stacks: str) -> str:
    """What faulthandler wrote, the innermost call first, without what leads to the actor's code in each thread."""
    return "\n\n".join(_without_leading(block) for block in stacks.split("\n\n"))


def is_leading(filename: str) -> bool:
    """Code that calls the actor's: the host and what it was forked from, the loop, asyncio."""
    return filename.startswith(_LEADING)


def tasks_of(event_loop: asyncio.AbstractEventLoop) -> str:
    """The stacks of all tasks of a loop, each down to what it awaits, the outermost call first."""
    tasks = sorted(asyncio.all_tasks(event_loop), key=lambda task: task.get_name())
    return "".join(f"{task.get_name()} (outermost call first):\n{_awaited(task.get_coro())}\n" for task in tasks)


def _without_leading(block: str) -> str:
    lines = block.split("\n")
    kept = len(block.rstrip("\n").split("\n"))
    kept -= _file_of(lines[kept - 1]) == _OUTERMOST
    while kept and (not lines[kept - 1] or is_leading(_file_of(lines[kept - 1]))):
        kept -= 1
    has_frames = any(_NATIVE_LINE.match(line) for line in lines[:kept])
    return "\n".join(lines[:kept] if has_frames else lines)


def _file_of(line: str) -> str:
    """The file that a line of a stack is of; "" for one that is not."""
    found = _NATIVE_LINE.match(line)
    return "" if found is None else found[1]


def _awaited(awaitable: Any) -> str:
    """What a coroutine is suspended in, link by link (`Task.print_stack` shows only the first)."""
    lines: list[str] = []
    while awaitable is not None:
        frame = _frame_of(awaitable)
        if frame is not None and not is_leading(frame.f_code.co_filename):
            lines += traceback.format_list(traceback.extract_stack(frame, limit=1))
        awaitable = getattr(awaitable, "cr_await", None) or getattr(awaitable, "gi_yieldfrom", None)
    return "".join(lines) or "  (in no code of the actor's)\n"


def _frame_of(awaitable: Any) -> FrameType | None:
    frame = getattr(awaitable, "cr_frame", None) or getattr(awaitable, "gi_frame", None)
    return frame if isinstance(frame, FrameType) else None
