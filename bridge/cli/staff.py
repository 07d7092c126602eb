"""What makes a command an act of staff: it takes `--reason`, and the staff log says who did it, why and when (ORG-02).

In one line over the command, `@staff_act("export")`. An entry is written before it begins and one when it ends, with
what `tally` was told. Where the act is one transaction, the entry is written in it: `later=True`, and `note_of`.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import click

from bridge.bootstrap import Bridge
from bridge.cli.options import READY
from bridge.store import BadInput, StoreAway, StoreBroken
from bridge.store.sql import Hand
from bridge.store.staff import Deed, Stage, checked

_DOING = "bridge.cli.staff"

#: Writes the entry of an act in the act's own transaction, with what it was about.
Note = Callable[[Hand, Mapping[str, int | str]], None]


def staff_act(
    act: str,
    *,
    unless: Callable[[dict[str, Any]], bool] = lambda _: False,
    later: bool = False,
    anyway: bool = False,
    told: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--reason TEXT`, and the entries of this act in the staff log.

    `unless` says by the options of the call that it is none, such as a dry run. With `later` nothing is written until
    the command says `begin`, because it asks first. With `anyway` the act goes on where the log cannot be written: a
    store whose disk is full must be copied all the same. With `told` the command's own `--reason` is what the person
    concerned is told: that stands in her file and not in the log.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def logged(**options: Any) -> Any:
            reason = "" if told else options.pop("reason") or ""
            if unless(options):
                return command(**options)
            doing = _Doing(act, reason, anyway=anyway, told=told)
            meta = click.get_current_context().meta
            meta[_DOING] = doing
            if not later:
                meta[READY] = doing.begin
            try:
                result = command(**options)
            except SystemExit as ended:
                doing.end(failed=bool(ended.code))
                raise
            except BaseException:
                doing.end(failed=True)
                raise
            doing.end(failed=False)
            return result

        why = click.option("--reason", metavar="TEXT", help="Why, for the staff log: a case or letter, nobody's name.")
        return logged if told else why(logged)

    return decorate


def begin(bridge: Bridge, *, act: str = "", **about: int | str) -> None:
    """Write that the act begins: just before it, once everything is asked and known."""
    _doing().begin(bridge, act, about)


def check_reason(bridge: Bridge) -> None:
    """Refuse an act without a reason where the policy asks for one: before what cannot be noted beforehand."""
    _doing().check_reason(bridge)


def note_of(bridge: Bridge) -> Note:
    """What writes the act's one entry in the transaction that carries it out."""
    return _doing().note(bridge)


def tally(**about: int | str) -> None:
    """What the act was about, for the log: kinds and counts, never anything of a person."""
    if (doing := _doing_or_none()) is not None:
        doing.about.update(about)


def asked(bridge: Bridge, approval: str) -> None:
    """The act waits for another person (decision 36)."""
    if (doing := _doing_or_none()) is not None:
        doing.asked(bridge, approval)


class _Doing:
    """One act while its command runs."""

    def __init__(self, act: str, reason: str, *, anyway: bool, told: bool) -> None:
        try:
            self.act, self.reason = act, checked(reason)
        except BadInput as error:
            raise click.UsageError(f"--reason: {error}") from None
        self.about: dict[str, int | str] = {}
        self._anyway, self._told = anyway, told
        self._bridge: Bridge | None = None
        self._deed: Deed | None = None

    def begin(self, bridge: Bridge, act: str = "", about: Mapping[str, int | str] | None = None) -> None:
        self.act, self.about = act or self.act, {**self.about, **(about or {})}
        self._open(bridge)
        try:
            bridge.store.staff.note(self._known, Stage.BEGAN, self.about)
        except (StoreAway, StoreBroken):
            if not self._anyway:
                raise

    def note(self, bridge: Bridge) -> Note:
        self._open(bridge)

        def write(db: Hand, about: Mapping[str, int | str]) -> None:
            bridge.store.staff.write(db, self._known, Stage.DONE, {**self.about, **about})
            self._bridge = None  # nothing more is to be said

        return write

    def asked(self, bridge: Bridge, approval: str) -> None:
        if self._bridge is None:  # else its entry is begun already, and goes on
            self._open(bridge)
        bridge.store.staff.note(self._known, Stage.ASKED, {**self.about, "approval": approval})
        self._bridge = None

    def end(self, *, failed: bool) -> None:
        if self._bridge is None:
            return
        try:
            self._bridge.store.staff.note(self._known, Stage.FAILED if failed else Stage.DONE, self.about)
        except (StoreAway, StoreBroken) as error:  # what was done is done, and its beginning is noted
            click.echo(f"consent-bridge: the end of this act could not be noted in the staff log: {error}", err=True)

    def check_reason(self, bridge: Bridge) -> None:
        if not self.reason and not self._told and bridge.policy.staff_reason == "required":
            raise click.UsageError('the policy asks for a reason (staff_reason = "required"): say --reason "letter 12"')

    def _open(self, bridge: Bridge) -> None:
        self.check_reason(bridge)
        self._bridge = bridge
        self._deed = bridge.store.staff.deed(self.act, by=bridge.settings.operator, reason=self.reason)

    @property
    def _known(self) -> Deed:
        assert self._deed is not None  # noqa: S101 - `_open` made it
        return self._deed


def _doing_or_none() -> _Doing | None:
    found: _Doing | None = click.get_current_context().meta.get(_DOING)
    return found


def _doing() -> _Doing:
    found = _doing_or_none()
    assert found is not None  # noqa: S101 - `staff_act` stands over the command
    return found
