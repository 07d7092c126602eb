"""Programs of our own in processes of their own, born by a process that has imported everything and opened nothing.

A child is as real as one that was started anew, and can be killed as one; only its second of imports was done before.
"""

import os
import resource
from collections.abc import Mapping, Sequence
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

#: For whatever starts a process by Python's own means.
forks: Any = get_context("forkserver")
forks.set_forkserver_preload(
    [
        *("tests.at_once", "tests.copy_child", "tests.import_child", "tests.kill_child", "tests.reconcile_child"),
        *("mailchimp_marketing", "sendgrid", "psycopg", "sqlalchemy.dialects.postgresql.psycopg"),
        *("bridge.cli.copies", "bridge.cli.keys", "bridge.store.schema", "bridge.web.app", "jinja2.ext", "smtplib"),
    ]
)


class Child:
    """One run of a module's `main`, as of a program. `largest`: of a file it may write, in bytes."""

    def __init__(self, module: str, *words: str, environment: Mapping[str, str], largest: int = 0) -> None:
        self._said = TemporaryDirectory(prefix="cb-child-")
        told = (module, words, dict(environment), largest, self._said.name)
        self._process = forks.Process(target=_live, args=told)
        self._process.start()

    def ends(self, seconds: float = 60.0) -> int:
        """Wait for its end; gives its exit code, negative where a signal ended it."""
        self._process.join(seconds)
        assert self._process.exitcode is not None, "it goes on"
        code = int(self._process.exitcode)
        self._process.close()
        self.output, self.errors = ((Path(self._said.name) / name).read_text() for name in ("output", "errors"))
        self._said.cleanup()
        return code


def _live(module: str, words: Sequence[str], environment: Mapping[str, str], largest: int, said: str) -> None:
    for number, name in ((1, "output"), (2, "errors")):
        file = os.open(Path(said) / name, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    if largest:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    import_module(module).main(*words)
