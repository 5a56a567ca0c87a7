"""The key that states in a file are signed with, in a file of its own beside it: `state.db-key`.

A state may be a pickle, which runs code when it is opened. So none is opened that was not written by somebody who could
read the key: not what another user has brought into the file, nor a file that was handed to us.

KY-1  The key is 32 random bytes, mode 0600, of this user, and on disk before the first state that it signs.
KY-2  A signature (HMAC-SHA256) is of the system, the actor, the number, the kind and the state: none can be taken for
      another's.
"""

import hashlib
import hmac
import os
import secrets
import stat

import msgspec

from actors.errors import NotDurable
from runtime.durable.row import Row

NBYTES = hashlib.sha256().digest_size
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # NONBLOCK: in its place may be a FIFO


class Key:
    """Signs the states of one file."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, system: str, actor: str, row: Row) -> bytes:
        """The signature of a state (KY-2)."""
        made = hmac.new(self._secret, msgspec.msgpack.encode((system, actor, row.number, row.kind)), "sha256")
        made.update(row.state)
        return made.digest()

    def has_signed(self, system: str, actor: str, row: Row, signature: bytes) -> bool:
        """Whether a signature is that of this state."""
        return hmac.compare_digest(self.sign(system, actor, row), signature)


def path_of(database: str) -> str:
    """Where the key of a database is."""
    return f"{database}-key"


def read(database: str) -> Key | None:
    """The key of a database; None: there is none, or it was not written to its end.

    Raises:
        NotDurable: others may read it or have made it, or it cannot be read.
    """
    path = path_of(database)
    try:
        fd = os.open(path, os.O_RDONLY | _FLAGS)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise NotDurable(database, f"its key {path}: {os.strerror(exc.errno or 0)}") from exc
    with open(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            expected = f"expected a regular file of uid {os.geteuid()} with mode 0600"
            got = f"uid {found.st_uid}, mode {stat.S_IMODE(found.st_mode):04o}"
            raise NotDurable(database, f"its key {path}: {expected}, got {got}")
        secret = file.read(NBYTES + 1)
    return Key(secret) if len(secret) == NBYTES else None


def make(database: str) -> Key:
    """Make the key of a database in which nothing is signed yet (KY-1); nobody else may be making it.

    Raises:
        NotDurable: it cannot be made.
    """
    path, secret = path_of(database), secrets.token_bytes(NBYTES)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _FLAGS, 0o600)
        with open(fd, "wb") as file:
            file.write(secret)
            file.flush()
            os.fsync(fd)
        directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as exc:
        raise NotDurable(database, f"its key {path}: {os.strerror(exc.errno or 0)}") from exc
    return Key(secret)
