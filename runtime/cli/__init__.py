"""The command line, `understudy`."""

from runtime.cli.command import main

__all__ = ["main"]
