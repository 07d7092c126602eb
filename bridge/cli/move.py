"""`consent-bridge move`: from one platform to another, by what readers said here."""

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack

import click

from bridge.adapter import AdapterError, find
from bridge.bootstrap import Bridge
from bridge.cli.options import as_json, env_file, errors_in_a_line, fail, make_bridge, progress, show
from bridge.cli.second import waits_for_another
from bridge.cli.staff import begin, staff_act, tally
from bridge.jobs.moving import Move, Plan


@click.command()
@click.option("--from", "old", required=True, metavar="ADAPTER", help="The platform you leave.")
@click.option("--to", "new", required=True, metavar="ADAPTER", help="The platform you go to.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--finish", is_flag=True, help="Both are equal: switch everybody off at the old one.")
@click.option("--delete", is_flag=True, help="With --finish: have everybody of yours deleted at the old one.")
@staff_act("move", later=True)
@as_json
@env_file
@errors_in_a_line
def move(old: str, new: str, *, yes: bool, finish: bool, delete: bool, json_: bool) -> None:
    """Move from one platform to another: plan and copy by consent, verify, then switch off the old one.

    The first call shows the plan, asks, and has the new platform told of everybody who may be mailed by what the store
    knows; what the old platform says is believed only where it is a "no". Run it again to see whether both are equal.
    Then --finish, and when nothing of the old one is needed any more, --finish --delete. Each call may be repeated.

    \b
    Example: consent-bridge move --from mailchimp --to sendgrid
             consent-bridge move --from mailchimp --to sendgrid --finish
    """
    if delete and not finish:
        raise click.UsageError("--delete goes with --finish")
    for name in (old, new):
        find(name)  # a typing error is named before anything else
    bridge = make_bridge()
    with ExitStack() as stack:
        job = Move(bridge, old, new, _bars(stack))
        try:
            told = _delete(job, yes=yes) if delete else _finish(job, yes=yes) if finish else _copy(job, yes=yes)
        except AdapterError as error:
            fail(f"{error.reason}; run move again")
    if json_:
        show(told)


def _bars(stack: ExitStack) -> Callable[[str, int, int], None]:
    bars: dict[str, Callable[[int, int], None]] = {}

    def tell(label: str, done: int, total: int) -> None:
        if label not in bars:
            bars[label] = stack.enter_context(progress(label, sys.stderr))
        bars[label](done, total)

    return tell


def _copy(job: Move, *, yes: bool) -> dict[str, object]:
    plan = job.plan()
    _say(job, plan)
    if plan.is_equal:
        _line(f"Both are equal. When nothing is sent from {job.old} any more: run this with --finish.")
    elif not plan.new.missing and not plan.unheard and plan.new.under_way:
        _line(f"{plan.new.under_way} people are just being told to {job.new}: run this again when they are.")
    else:
        _ask(f"Have {job.new} told of {plan.new.missing} people?", yes=yes)
        begin(job.bridge, step="copy", old=job.old, new=job.new)
        result = job.copy()
        tally(told=result.missing)
        _line(
            f"{result.missing} people are being told to {job.new} by the dispatcher; both platforms hear of everything."
        )
        _line("Run the same again to see whether both are equal.")
    return _told(job, plan)


def _finish(job: Move, *, yes: bool) -> dict[str, object]:
    plan = job.plan()
    _say(job, plan)
    if not plan.is_equal:
        fail(f"{job.old} and {job.new} are not equal yet, so nothing was switched off: run move without --finish first")
    rest = f" {plan.not_taken} are not taken by {job.new} and get nothing then." if plan.not_taken else ""
    _ask(f"Switch everybody off at {job.old}?{rest}", yes=yes)
    begin(job.bridge, step="finish", old=job.old, new=job.new)
    told = job.finish()
    tally(switched_off=told)
    _line(f"{told} people are being switched off at {job.old} by the dispatcher.")
    _line(
        f"Keep {job.old} in BRIDGE_ADAPTERS as long as mails sent from there may be clicked: a stop there still counts."
    )
    return {**_told(job, plan), "switched_off": told}


def _delete(job: Move, *, yes: bool) -> dict[str, object]:
    _ask(f"Delete everybody of yours at {job.old} for good? Some platforms never take such an address again.", yes=yes)
    about = {"from": job.old, "to": job.new}
    json_ = click.get_current_context().params["json_"]
    if waits_for_another(job.bridge, "move", f"delete {job.old} {job.new}".encode(), about, json_=json_):
        raise SystemExit(0)
    begin(job.bridge, step="delete", old=job.old, new=job.new)
    return _deleted(job)


def delete_there(bridge: Bridge, about: Mapping[str, str], _hash: bytes, *, json_: bool) -> None:
    """What another person asked for: everybody of ours deleted at the platform that was left."""
    with ExitStack() as stack:
        job = Move(bridge, about["from"], about["to"], _bars(stack))
        try:
            told = _deleted(job)
        except AdapterError as error:
            fail(f"{error.reason}; run move again")
    if json_:
        show(told)


def _deleted(job: Move) -> dict[str, object]:
    deleted = job.delete()
    tally(deleted=deleted)
    _line(f"{deleted} people are being deleted at {job.old}, each looked for until {job.old} says she is gone.")
    return {"from": job.old, "to": job.new, "deleted": deleted}


def _say(job: Move, plan: Plan) -> None:
    _line(f"{job.old}: {plan.old.compared} people there; {job.new}: {plan.new.compared} people there")
    _line(f"  {plan.new.may} have a yes here; {plan.new.missing} of them are to be told to {job.new}")
    _line(f'  {plan.unheard} times one side does not know of a "no" or a dead address: that is put right first')
    for name, result in ((job.old, plan.old), (job.new, plan.new)):
        for verdict, count in sorted(result.verdicts.items()):
            _line(f"  {name}, {verdict}: {count}")
    if plan.retired:
        _line(f"  {job.old} is given up already: everybody is off there")


def _told(job: Move, plan: Plan) -> dict[str, object]:
    return {
        "from": job.old,
        "to": job.new,
        "there": {job.old: plan.old.compared, job.new: plan.new.compared},
        "may": plan.new.may,
        "missing": plan.new.missing,
        "under_way": plan.new.under_way,
        "unheard": plan.unheard,
        "not_taken": plan.not_taken,
        "equal": plan.is_equal,
    }


def _ask(question: str, *, yes: bool) -> None:
    """Nothing happens without a yes."""
    if yes:
        return
    if not sys.stdin.isatty():
        fail("nothing was done: look at the plan, then say --yes")
    click.confirm(question, abort=True, err=True)


def _line(text: str) -> None:
    """For people, so that standard output stays JSON where that is asked for."""
    click.echo(text, err=click.get_current_context().params["json_"])
