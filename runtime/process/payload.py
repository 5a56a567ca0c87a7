"""The payload of a launch: the actor's class, which the zygote decodes, and the constructor call, which it does not."""

import os


def class_part(payload_fd: int) -> bytes:
    """The part of a payload that is only the actor's class: all a zygote decodes."""
    size = int.from_bytes(os.pread(payload_fd, 4, 0), "little")
    return os.pread(payload_fd, size, 4)


def constructor_part(payload_fd: int) -> bytes:
    """The part of a payload that is the whole constructor call: decoded in the actor."""
    skip = 4 + int.from_bytes(os.pread(payload_fd, 4, 0), "little")
    return os.pread(payload_fd, os.fstat(payload_fd).st_size - skip, skip)


def joined_payload(class_part: bytes | memoryview, constructor_part: bytes) -> bytes:
    """A payload of both parts."""
    return len(class_part).to_bytes(4, "little") + class_part + constructor_part
