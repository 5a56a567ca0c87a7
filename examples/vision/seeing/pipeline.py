"""The stages: camera → blur → edges → screen, each a process. An image of half a megabyte goes out of band.

It is copied once, into warm shared memory, by whoever sends it; the receiver looks at that memory, read-only, and gives
it back by dropping the array.
"""

import os
import time
from typing import Protocol

from actors import Actor, message
from seeing.image import Image, np


class Stage(Protocol):
    """What comes after a stage."""

    @message
    def look(self, number: int, image: Image) -> None:
        """Take an image."""


class Camera(Actor):
    """Makes images: a bright square that moves over a dark field with some noise."""

    def __init__(self, following: Stage, *, frames: int, height: int, width: int) -> None:
        self._following = following
        self._frames = int(os.environ.get("FRAMES", frames))
        random = np.random.default_rng(seed=1)
        self._field = random.integers(0, 32, (height, width), dtype=np.uint8)
        self._number = 0

    def on_start(self) -> None:
        self.context.after(0.0, self.shoot)

    @message
    def shoot(self) -> None:
        """Make an image and send it on; a full mailbox makes the camera wait."""
        image = self._field.copy()
        top, left = (self._number * step % (side - 64) for step, side in zip((3, 5), image.shape, strict=True))
        image[top : top + 64, left : left + 64] = 255
        self._number += 1
        self._following.look.tell(self._number, image)
        if self._number < self._frames:
            self.context.after(0.0, self.shoot)


class Blur(Actor):
    """The mean of each pixel and its four neighbours."""

    def __init__(self, following: Stage) -> None:
        self._following = following

    @message
    def look(self, number: int, image: Image) -> None:
        assert not image.flags.writeable  # it is the sender's memory, not a copy of it
        wide = np.pad(image, 1, mode="edge").astype(np.uint16)
        mean = (wide[1:-1, 1:-1] + wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:]) // 5
        self._following.look.tell(number, mean.astype(np.uint8))


class Edges(Actor):
    """Where brightness changes from one pixel to the next."""

    def __init__(self, following: Stage) -> None:
        self._following = following

    @message
    def look(self, number: int, image: Image) -> None:
        found = np.zeros_like(image)
        across = np.abs(np.diff(image.astype(np.int16), axis=1))
        found[:, 1:] = np.where(across > 40, 255, 0)
        self._following.look.tell(number, found)


class Screen(Actor):
    """Counts what arrives, says how many a second, and ends the system after the last one."""

    def __init__(self, *, frames: int) -> None:
        self._frames = int(os.environ.get("FRAMES", frames))
        self._seen = self._bytes = 0
        self._last = (0, time.monotonic())

    def on_start(self) -> None:
        self._start = time.monotonic()
        self.context.every(1.0, self.report)

    @message
    def look(self, number: int, image: Image) -> None:
        self._seen += 1
        self._bytes += image.nbytes
        assert number == self._seen, f"expected image {self._seen}, got {number}"  # nothing lost, nothing out of order
        assert image.any(), f"image {number} has no edges"
        if self._seen == self._frames:
            seconds = time.monotonic() - self._start
            rate = f"{self._seen / seconds:.0f} frames/s, {self._bytes / seconds / 1e6:.0f} MB/s into each stage"
            print(f"{self._seen} images of {image.shape[1]} × {image.shape[0]} in {seconds:.1f} s: {rate}", flush=True)
            self.context.stop()

    @message
    def report(self) -> None:
        """Say how fast it goes now."""
        seen, at = self._last
        self._last = self._seen, time.monotonic()
        print(f"{(self._seen - seen) / (self._last[1] - at):6.0f} frames/s", flush=True)
