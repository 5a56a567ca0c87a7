"""Editors: each a process; they change pages of the same file, one transaction at a time."""

import os
import signal
from collections.abc import Sequence

from actors import Actor, Region, message
from filing.document import LINES, Document, Index


class Editor(Actor):
    def __init__(self, document: Region[Document], index: Region[Index]) -> None:
        self._document = document
        self._index = index

    @message
    def write(self, page: int, lines: Sequence[str]) -> int:
        """Replace a page; returns how many edits the file has had."""
        with self._document.write() as view:
            self._put(view, page, lines)
            view.edits += 1
            edits = view.edits
        with self._index.write() as view_of_index:  # behind the file for a moment, never ahead of it
            entry = view_of_index.entries[page]
            entry.edits += 1
            entry.nbytes = sum(len(line.encode()) + 1 for line in lines)
            entry.editor = self.context.name.encode()
        return edits

    @message
    def crash(self, page: int, lines: Sequence[str]) -> None:
        """Begin to replace a page, and be killed in the middle of it."""
        with self._document.write() as view:
            self._put(view, page, lines[: LINES // 2])
            os.kill(os.getpid(), signal.SIGKILL)

    def _put(self, view: Document, page: int, lines: Sequence[str]) -> None:
        for line, text in zip(view.pages[page].lines, lines, strict=False):
            line.text = text.encode()
