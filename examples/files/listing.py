"""List the pages of the file that is being edited: python examples/files/listing.py [SYSTEM]

The index is read as it was last committed. No actor is asked, no lock is taken, nobody waits.
"""

import sys

from filing.document import Index

from actors import ActorError, generation_of
from runtime import connect


def main() -> None:
    with connect(sys.argv[1] if len(sys.argv) > 1 else "files") as system:
        index = system.region("index", Index).read()
    print(f"PAGE  BYTES  EDITS  LAST EDITOR     (commit {generation_of(index)})")
    for number, entry in enumerate(index.entries):
        print(f"{number:4}  {entry.nbytes:5}  {entry.edits:5}  {entry.editor.decode()}")


if __name__ == "__main__":
    try:
        main()
    except ActorError as exc:
        sys.exit(str(exc))
