"""The tour: has the editors edit at the same time, kills one in the middle of an edit now and then, and looks."""

import os
from collections.abc import Collection, Sequence

from actors import Actor, ActorDied, Region, message
from filing.document import LINES, PAGES, Document, text_of
from filing.editor import Editor
from filing.saver import Saver


class Tour(Actor, on_raise="crash"):
    def __init__(
        self, document: Region[Document], saver: Saver, editors: Sequence[Editor], *, rounds: int, kill_every: int
    ) -> None:
        self._document = document
        self._saver = saver
        self._editors = editors
        self._rounds = int(os.environ.get("ROUNDS", rounds))
        self._kill_every = kill_every
        self._round = self._edits = self._killed = 0
        self._edited: set[int] = set()

    def on_start(self) -> None:
        self._before = self._document.read().edits
        print(f"{len(self._editors)} editors, {PAGES} pages: {self._rounds} rounds", flush=True)
        self.context.every(0.05, self.play_round)

    @message
    def play_round(self) -> None:
        """One edit by every editor, at the same time; in some rounds one of them is killed half-way."""
        self._round += 1
        pages = [(self._round + n) % PAGES for n in range(len(self._editors))]
        replies = [
            editor.write.ask(page, _page(f"round {self._round}, editor {n}"))
            for n, (editor, page) in enumerate(zip(self._editors, pages, strict=True))
        ]
        for reply in replies:
            reply.result()
        self._edits += len(replies)
        self._edited.update(pages)
        if self._round % self._kill_every == 0:
            self._kill(self._editors[self._round // self._kill_every % len(self._editors)])
        _check(self._document.read(), self._edited)
        if self._round == self._rounds:
            self._end()

    def _kill(self, editor: Editor) -> None:
        try:
            editor.crash(self._round % PAGES, _page("never seen"))
        except ActorDied as died:
            self._killed += 1
            print(f"round {self._round}: {died}", flush=True)

    def _end(self) -> None:
        path = self._saver.save()
        edits = self._document.read().edits - self._before
        assert edits == self._edits, f"expected {self._edits} edits, got {edits}"
        print(
            f"{edits} edits, {self._killed} editors killed in the middle of one, every page whole: {path}", flush=True
        )
        self.context.stop()


def _page(what: str) -> list[str]:
    return [f"{what}, line {n}" for n in range(LINES)]


def _check(snapshot: Document, edited: Collection[int]) -> None:
    """Every page that was edited is of one edit: its lines say the same but for their numbers."""
    for number in edited:
        edits = {line.rpartition(b", line ")[0] for line in text_of(snapshot.pages[number]).splitlines()}
        assert len(edits) == 1, f"page {number} is of several edits: {edits}"
        assert b"never seen" not in edits, f"page {number} is of an edit that was not finished"
