"""The payload of a launch: an actor's class, its message table, and its constructor call, one behind the other.

The zygote decodes the class and the actor the call. The table is data: the supervisor copies it into the page, unread.
"""

import os
import struct

_SIZES = struct.Struct("<II")  # of the class and of the table


def class_part(payload_fd: int) -> bytes:
    """The part of a payload that is only the actor's class: all a zygote decodes."""
    size, _ = _sizes(payload_fd)
    return os.pread(payload_fd, size, _SIZES.size)


def table_part(payload_fd: int) -> bytes:
    """The part of a payload that is the message table of the class, as a page has it."""
    skip, size = _sizes(payload_fd)
    return os.pread(payload_fd, size, _SIZES.size + skip)


def constructor_part(payload_fd: int) -> bytes:
    """The part of a payload that is the whole constructor call: decoded in the actor."""
    skip = _SIZES.size + sum(_sizes(payload_fd))
    return os.pread(payload_fd, os.fstat(payload_fd).st_size - skip, skip)


def joined_payload(class_part: bytes | memoryview, table: bytes, constructor_part: bytes) -> bytes:
    """A payload of its parts."""
    return _SIZES.pack(len(class_part), len(table)) + class_part + table + constructor_part


def _sizes(payload_fd: int) -> tuple[int, int]:
    class_bytes, table_bytes = _SIZES.unpack(os.pread(payload_fd, _SIZES.size, 0))
    return class_bytes, table_bytes
