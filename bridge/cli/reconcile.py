"""`consent-bridge reconcile`: the store against each platform, both ways."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from bridge.adapter import AdapterError, find
from bridge.bootstrap import Bridge
from bridge.cli.options import as_json, env_file, errors_in_a_line, fail, make_bridge, progress
from bridge.cli.staff import staff_act, tally
from bridge.files import whole
from bridge.jobs.reconcile import Difference, Reconciler, Result

#: So many differences are shown by a line each.
_LINES = 20

_COLUMNS = list(Difference.__struct_fields__)


@click.command()
@click.argument("adapter", required=False)
@click.option("--dry-run", is_flag=True, help="Say what differs and what would be done; change nothing.")
@click.option(
    "--max-changes",
    default=100,
    show_default=True,
    type=click.IntRange(0),
    help="Switch on at most so many people at a platform, and off so many strangers; of more, nobody.",
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Each difference with its address, for you only."
)
@staff_act("reconcile", unless=lambda options: options["dry_run"] and options["out"] is None)
@as_json
@env_file
@errors_in_a_line
def reconcile(adapter: str | None, dry_run: bool, max_changes: int, out: Path | None, json_: bool) -> None:
    """Compare everybody at ADAPTER's platform (or all) with the store, both ways, and put right what differs.

    A "no" that only the platform heard is kept here. Who is on there without a yes that counts here is switched off
    there, who is missing there is told again. People who are not known here are reported, and not touched unless the
    policy says so (`strangers`). Look first:

    \b
    Example: consent-bridge reconcile mailchimp --dry-run
             consent-bridge reconcile
    """
    if adapter is not None:
        find(adapter)  # a typing error is named before anything else
    bridge = make_bridge()
    if adapter is not None and adapter not in bridge.adapters:
        fail(f"{adapter} is installed but not switched on: add it to BRIDGE_ADAPTERS")
    names = [adapter] if adapter else list(bridge.adapters)
    if not names:
        fail("no platform is switched on: name one in BRIDGE_ADAPTERS")
    with ExitStack() as stack:
        file = stack.enter_context(whole(out)) if out else None
        report = stack.enter_context(_report(file, json_=json_))
        for name in names:
            report.compare(bridge, name, dry_run=dry_run, max_changes=max_changes)
    tally(compared=report.total("compared"), applied=report.total("applied"))
    if not json_:
        report.say(dry_run=dry_run, max_changes=max_changes, out=out)
    if report.wrong:
        raise SystemExit(1)


class _Report:
    """What is found, as it is found: nothing is collected, however much differs."""

    def __init__(self, file: BinaryIO | None, *, json_: bool) -> None:
        self.json_, self.results, self.errors = json_, dict[str, Result](), dict[str, str]()
        self._shown = 0
        self._text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True) if file else None
        self._rows = csv.writer(self._text) if self._text else None
        if self._rows:
            self._rows.writerow(_COLUMNS)

    def compare(self, bridge: Bridge, name: str, *, dry_run: bool, max_changes: int) -> None:
        """One platform. One that cannot be read keeps the others from nothing."""
        with ExitStack() as stack:
            bars: dict[str, Callable[[int, int], None]] = {}

            def tell(label: str, done: int, total: int) -> None:
                if label not in bars:
                    bars[label] = stack.enter_context(progress(label, sys.stderr))
                bars[label](done, total)

            job = Reconciler(bridge, name, dry_run=dry_run, max_changes=max_changes, tell=self.found, progress=tell)
            try:
                self.results[name] = job.run()
            except AdapterError as error:
                self.errors[name] = error.reason
                click.echo(f"consent-bridge: {error.reason}; run reconcile again", err=True)

    def found(self, difference: Difference) -> None:
        """One difference: with its address only into the file."""
        if self._rows:
            self._rows.writerow([getattr(difference, name) for name in _COLUMNS])
        told = msgspec.to_builtins(difference)
        told.pop("email")
        if self.json_:
            click.echo(("," if self._shown else "") + "\n    " + json.dumps(told, ensure_ascii=False), nl=False)
        elif self._shown < _LINES:
            who = difference.subject or "somebody not in the store"
            click.echo(
                f"  {who}, {difference.adapter}, {difference.purpose or 'all'}: here {difference.ours_last}; "
                f"there {difference.theirs_last}: {difference.verdict}; {difference.repair}"
            )
        self._shown += 1

    @property
    def wrong(self) -> bool:
        """Whether something is left that a person must look at."""
        return bool(self.errors) or any(r.braked or r.strangers_braked or r.failed for r in self.results.values())

    def total(self, name: str) -> int:
        """A number of all platforms together."""
        return sum(int(getattr(result, name)) for result in self.results.values())

    def close(self) -> None:
        """Everything is on its way to the disk."""
        if self._text:
            self._text.detach()

    def say(self, *, dry_run: bool, max_changes: int, out: Path | None) -> None:
        """The counts, for people."""
        if self._shown > _LINES:
            click.echo(f"  … and {self._shown - _LINES} more: --json shows all, --out FILE with their addresses")
        for name, result in self.results.items():
            click.echo(
                f"{name}: {result.compared} people there compared, {result.differences} differences, "
                f"{result.applied} put right, {result.under_way} just being told"
            )
            for verdict, count in sorted(result.verdicts.items()):
                click.echo(f"  {verdict}: {count}")
            if result.failed:
                click.echo(f"  {result.failed} could not be switched off just now: run reconcile again")
            if result.strangers_braked:
                click.echo(
                    f"  BRAKE: {result.strangers} people who are not in the store would be switched off there, "
                    f"{max_changes} are allowed: nobody was. Import them first, or: --max-changes {result.strangers}"
                )
            if result.braked:
                click.echo(
                    f"  BRAKE: {result.missing} people would be switched on there, {max_changes} are allowed: nobody "
                    f"was. Look why they are missing; if it is right: --max-changes {result.missing}"
                )
        if dry_run:
            click.echo("Nothing was changed (dry run).")
        if out:
            click.echo(f"Written: {out} (with addresses; delete it when you are done)")


@contextmanager
def _report(file: BinaryIO | None, *, json_: bool) -> Iterator[_Report]:
    """The report, begun and ended as JSON where that is asked for."""
    report = _Report(file, json_=json_)
    if json_:
        click.echo('{\n  "differences": [', nl=False)
    yield report
    report.close()
    if json_:
        counts = ("compared", "applied", "under_way", "failed", "missing")
        ends: dict[str, object] = {name: report.total(name) for name in counts}
        ends |= {"refused": [name for name, result in report.results.items() if result.braked], "errors": report.errors}
        click.echo("\n  ],\n  " + json.dumps(ends, ensure_ascii=False)[1:-1] + "\n}")
