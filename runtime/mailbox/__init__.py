"""The mailbox: a FIFO and a page."""
