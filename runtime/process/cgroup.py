"""Where the files of this process's own cgroup are, of version 2 or 1.

Source: cgroups(7), /proc/pid/cgroup; Documentation/admin-guide/cgroup-v2.rst.
"""

from pathlib import Path


def files_of(listing: Path, cgroups: Path, *, v2: str, v1: str, above: bool = False) -> list[Path]:
    """Where a file of the memory controller may be; where a namespace hides the cgroup's path, at the mount's root.

    Args:
        listing: /proc/self/cgroup.
        cgroups: where cgroup filesystems are mounted.
        v2, v1: its name in each version.
        above: also of the cgroups that it is in.
    """
    try:
        lines = listing.read_text().splitlines()
    except OSError:
        return []
    files: list[Path] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            files += _at(cgroups, path, v2, above=above)
        elif "memory" in controllers.split(","):
            files += _at(cgroups / "memory", path, v1, above=above)
    return files


def _at(mount: Path, path: str, name: str, *, above: bool) -> list[Path]:
    own = mount / path.lstrip("/")
    between = [parent for parent in own.parents if mount in parent.parents] if above else []
    return [place / name for place in (own, *between, mount)]
