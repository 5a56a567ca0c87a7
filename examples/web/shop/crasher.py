"""An actor that crashes on request, as native code does: no exception, no exit code, no goodbye."""

import os
import signal

from actors import Actor, message


class Crasher(Actor):
    @message
    def crash(self) -> None:
        """Die in the middle of this message."""
        os.kill(os.getpid(), signal.SIGKILL)

    @message
    def ping(self) -> int:
        """How often it was started."""
        return self.context.incarnation
