"""Trust in a place: whether anybody but us decides what a path leads to, and what lies there.

    /  tmp  build  →  link  →  /  srv  data            each directory is looked at before the name in it
    └────────── the way to it ────────────┘

TR-1  Those trusted are we, root, and the owner of `/` (an unmapped root, in a user namespace): he may exchange what all
      paths begin with.
TR-2  Whoever may write to a directory may replace what is in it. If it is sticky (as /tmp is), only that which is his.
TR-3  A group may write where none but those trusted are its members: with umask 002 everything is so for the user's own
      group. What an access control list lets write is not looked through: it may be anybody.
TR-4  The way is walked from the top, so that what has been looked at cannot be exchanged meanwhile.
"""

import grp
import os
import pwd
import stat
from collections import deque

_MOST_LINKS = 40  # as the kernel, path_resolution(7)


def trusted_uids() -> set[int]:
    """Uids of those who decide about us anyway (TR-1)."""
    return {os.geteuid(), 0, os.lstat("/").st_uid}


def fault_on_the_way(path: str | os.PathLike[str]) -> str:
    """What lets others exchange a directory, or one above it, for theirs; "" for nothing.

    Args:
        path: absolute; of what does not exist yet, the part that does counts.
    Raises:
        OSError: it cannot be looked at; a circle of links.
    """
    names = deque(os.fspath(path).split("/"))
    here, links = "/", 0
    while names:
        name = names.popleft()
        if name in ("", "."):
            continue
        if name == "..":  # in a link's target: `here` has none any more
            here = os.path.dirname(here)
            continue
        place = os.path.join(here, name)
        try:
            found = os.lstat(place)
        except FileNotFoundError:
            return _fault(here, None)
        fault = _fault(here, found)
        if fault:
            return fault
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > _MOST_LINKS:
                raise OSError(f"{path}: too many levels of symbolic links")
            target = os.readlink(place)
            here = "/" if target.startswith("/") else here
            names.extendleft(reversed(target.split("/")))
        else:
            here = place
    return ""


def fault_of_directory(path: str) -> str:
    """What lets others put something of theirs into a directory, sticky or not; "" for nothing.

    Raises:
        OSError: it cannot be looked at.
    """
    found = os.stat(path)
    return _fault_of_owner(path, found) or ("" if not _others_write(path, found) else _writable(path, found))


def _fault(directory: str, entry: os.stat_result | None) -> str:
    """What lets others exchange this entry of a directory; None: one that is still to be made."""
    found = os.lstat(directory)
    fault = _fault_of_owner(directory, found)
    if fault or not _others_write(directory, found):
        return fault
    if found.st_mode & stat.S_ISVTX and (entry is None or entry.st_uid in trusted_uids()):  # TR-2
        return ""
    return _writable(directory, found)


def _fault_of_owner(path: str, found: os.stat_result) -> str:
    if found.st_uid in trusted_uids():
        return ""
    return f"{path}: expected a directory of uid {os.geteuid()} or of root, got one of uid {found.st_uid}"


def _writable(path: str, found: os.stat_result) -> str:
    mode = stat.S_IMODE(found.st_mode)
    return f"{path}: expected a directory that only uid {os.geteuid()} and root may write to, got mode {mode:04o}"


def _others_write(path: str, found: os.stat_result) -> bool:
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and (_has_list(path) or not _is_private(found.st_gid))


def _has_list(path: str) -> bool:
    try:
        os.getxattr(path, "system.posix_acl_access")
    except OSError:  # ENODATA, or a file system without: the group's bits are the group's
        return False
    return True


def _is_private(gid: int) -> bool:
    """Whether a group has members, and none but those trusted (TR-3); sshd of Debian looks at a home in that way."""
    try:
        named = grp.getgrgid(gid).gr_mem
        members = {pwd.getpwnam(name).pw_uid for name in named}
    except KeyError:  # no such group or user here: it may be one of elsewhere
        return False
    members |= {user.pw_uid for user in pwd.getpwall() if user.pw_gid == gid}
    return bool(members) and members <= trusted_uids()
