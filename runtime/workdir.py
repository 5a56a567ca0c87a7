"""The working directory, which may be gone: a deployment deletes it under a running program."""

import os
from collections.abc import Iterable


def absolute(paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """These paths from the root; where the working directory is gone without the relative ones, which lead nowhere.

    Source: so does Python's import with them (importlib's PathFinder).
    """
    try:
        here = os.getcwd()
    except FileNotFoundError:
        return [os.path.normpath(path) for path in paths if os.path.isabs(path)]
    return [os.path.normpath(os.path.join(here, path)) for path in paths]


def encoded(texts: Iterable[str]) -> list[bytes]:
    """Paths and arguments as the system knows them, bytes: as texts, those that are no UTF-8 could not be sent."""
    return [os.fsencode(text) for text in texts]
