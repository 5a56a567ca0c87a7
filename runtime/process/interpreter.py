"""An interpreter that was forked: what it has to do first, and how it ends, so as to be like one that was started.

IN-1  Exit functions that were registered before the fork are for the end of that process: here they would take away
      what others still use, a temporary directory of a module, say. Those that the standard library has for every
      process are kept (multiprocessing's children do the same since Python 3.13).
IN-2  Its random numbers are its own: `random` sees to itself at a fork, the generator behind `numpy.random` does not.
IN-3  It ends by os._exit, which leaves out what the end of Python does. So that is done before, in Python's order:
      threads that are no daemons are waited for, executors end, exit functions run, streams are flushed.
"""

import atexit
import os
import signal
import sys
import threading
import traceback
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

_EVERYBODYS = (("multiprocessing.util", "_exit_function"), ("logging", "shutdown"))  # in the order of registration


def begin() -> None:
    """Do what a fork has to do first (IN-1, IN-2)."""
    atexit._clear()  # noqa: SLF001  # as multiprocessing does
    for finalizer in weakref.finalize._registry.values():  # type: ignore[attr-defined]  # noqa: SLF001
        finalizer.atexit = False
    if weakref.finalize._registered_with_atexit:  # type: ignore[attr-defined]  # noqa: SLF001
        atexit.register(weakref.finalize._exitfunc)  # type: ignore[attr-defined]  # noqa: SLF001
    for module, name in _EVERYBODYS:
        function: Callable[[], Any] | None = getattr(sys.modules.get(module), name, None)
        if function is not None:
            atexit.register(function)
    numpy_random: Any = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def end(code: int, seconds: float = 0.0) -> None:
    """Do what the end of Python does (IN-3), and then return; in the main thread.

    Args:
        code: exit code, where that is not over in time.
        seconds: how long it may take; 0: for ever, somebody else watches.
    """

    def give_up(_number: int, _frame: FrameType | None) -> None:
        os._exit(code)

    if seconds:
        signal.signal(signal.SIGALRM, give_up)
        signal.setitimer(signal.ITIMER_REAL, seconds)
    for step in (threading._shutdown, atexit._run_exitfuncs):  # type: ignore[attr-defined]  # noqa: SLF001  # as multiprocessing does
        try:
            step()
        except Exception:  # an exit function's, the last of them: Python prints it and goes on
            traceback.print_exc()
