"""The saver: reads the file into shared memory once, and writes it back whenever it has changed."""

import os
import tempfile
from pathlib import Path

from actors import Actor, Region, generation_of, message
from filing.document import LINE_BYTES, LINES, PAGES, Document, text_of


class Saver(Actor):
    def __init__(self, document: Region[Document], path: str = "") -> None:
        chosen = path or os.environ.get("NOTES") or f"{tempfile.gettempdir()}/understudy-notes.txt"
        self._path = Path(chosen)
        self._document = document
        self._saved = 0

    def on_start(self) -> None:
        if self._document.generation == 0 and self._path.exists():
            self._load()
        self.context.every(0.2, self.save)

    def on_stop(self, reason: str) -> None:
        del reason
        self.save()

    @message
    def save(self) -> str:
        """Write the last commit to the file, if it is not there yet; returns the file's path."""
        snapshot = self._document.read()
        if generation_of(snapshot) != self._saved:
            beside = self._path.with_name(f"{self._path.name}.new")
            with beside.open("wb") as file:
                file.writelines(text_of(page) for page in snapshot.pages)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)  # whoever opens the file finds the old one or the new one
            self._saved = generation_of(snapshot)
        return str(self._path)

    def _load(self) -> None:
        lines = self._path.read_bytes().splitlines()[: PAGES * LINES]
        with self._document.write() as view:
            for number, text in enumerate(lines):
                view.pages[number // LINES].lines[number % LINES].text = text[:LINE_BYTES]
