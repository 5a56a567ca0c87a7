"""The file as it lies in shared memory: its pages of lines, and an index of them."""

from actors import Layout, array, field

PAGES = 8
LINES = 16  # of a page
LINE_BYTES = 64


class Line(Layout):
    text = field(f"S{LINE_BYTES}")


class Page(Layout):
    lines = array(Line, LINES)


class Document(Layout):
    pages = array(Page, PAGES)
    edits = field("u8")


class Entry(Layout):
    """What the index knows of one page."""

    edits = field("u4")
    nbytes = field("u4")
    editor = field("S32")


class Index(Layout):
    entries = array(Entry, PAGES)


def text_of(page: Page) -> bytes:
    """A page as it stands in the file."""
    return b"".join(line.text + b"\n" for line in page.lines)
