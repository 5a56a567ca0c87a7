"""What every process of a system is bound by; set once in the warden, inherited by all that come of it.

BO-1  As many descriptors as the hard limit allows: a supervisor takes about five for each actor.
BO-2  No core files: whoever is aborted for its stacks would leave its memory on the disk. An actor may raise its own
      limit again.
BO-3  No new privileges (PR_SET_NO_NEW_PRIVS): no program that is started gains any by its set-uid bit or its file
      capabilities. UNDERSTUDY_NEW_PRIVILEGES=1 leaves that out, for actors that need sudo(8) or the like.
BO-4  umask 077: what is made is the user's alone.
"""

import contextlib
import os
import resource

from runtime.process import prctl

VARIABLE = "UNDERSTUDY_NEW_PRIVILEGES"
FEW_DESCRIPTORS = 1024  # for about 200 actors


def set_bounds() -> None:
    """Bind this process and its descendants."""
    os.umask(0o077)
    with contextlib.suppress(ValueError, OSError):  # a lower hard limit is what there is
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if os.environ.get(VARIABLE) != "1":
        prctl.give_up_new_privileges()


def descriptors() -> int:
    """How many this process may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
