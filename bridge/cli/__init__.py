"""The commands: thin, each calls one job. Exit 0 done, 1 something is wrong and named, 2 wrong call."""

from bridge.cli.main import main

__all__ = ["main"]
