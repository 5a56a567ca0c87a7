"""Lanes: where an actor's messages come from, and where in it the one in hand stands."""

from runtime.mailbox.journal import Journal


class Lane:
    """One FIFO and its journal.

    Attributes:
        at: offset of the next frame.
        extent: end of the last one.
        fd: of the FIFO; -1 of what an earlier incarnation had set aside, which is not read from anywhere.
        mark: added to the page's IN_HAND.
        epoch: the page's word that counts the journal's fillings.
    """

    __slots__ = ("at", "epoch", "extent", "fd", "journal", "mark", "view")

    def __init__(self, fd: int, area: memoryview, mark: int, epoch: int) -> None:
        self.epoch = epoch
        self.fd = fd
        self.journal = Journal(area)
        self.view = area
        self.at = 0
        self.extent = 0
        self.mark = mark


Token = tuple[Lane, int, int, int]
"""Which frame is in hand: its lane, its offset in the journal, its ask id (0 for a tell), its reply address."""
