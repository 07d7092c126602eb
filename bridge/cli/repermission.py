"""`consent-bridge repermission`: contacts without proof are asked one single time, in waves (AUD-03 to AUD-05)."""

import sys
from collections.abc import Mapping
from typing import Any

import click
import msgspec

from bridge.bootstrap import Bridge
from bridge.cli.options import as_json, env_file, errors_in_a_line, fail, make_bridge, progress, show
from bridge.cli.second import waits_for_another
from bridge.cli.staff import begin as note_begin
from bridge.cli.staff import staff_act, tally
from bridge.jobs import repermission as jobs
from bridge.store.campaigns import Campaign, State, WaveNow
from bridge.store.funnel import Funnel
from bridge.vocabulary import rfc3339


@click.group()
def repermission() -> None:
    """Ask contacts whose proof is incomplete one single time; off unless the policy allows it.

    \b
    Example: consent-bridge repermission plan newsletter
             consent-bridge repermission start
             consent-bridge repermission status
    """


@repermission.command()
@click.argument("purpose")
@staff_act("repermission plan")
@as_json
@env_file
@errors_in_a_line
def plan(purpose: str, json_: bool) -> None:
    """Say who may be asked about PURPOSE and who not, and why (counts only); write the campaign down. Sends nothing.

    \b
    Example: consent-bridge repermission plan newsletter
    """
    bridge = make_bridge()
    if purpose not in bridge.policy.purposes:
        fail(f"no purpose {purpose!r} in the policy; there are: {', '.join(bridge.policy.purposes)}")
    with progress("looking", sys.stderr) as tell:
        found, campaign = jobs.plan(bridge, purpose, tell)
    tally(eligible=found.eligible, **({"campaign": campaign.id} if campaign else {}))
    if json_:
        told = {"eligible": found.eligible, "not_asked": dict(found.not_asked)}
        show({"campaign": campaign.id if campaign else None, "purpose": purpose, **told})
        return
    click.echo(f"{found.eligible:>9,} may be asked about {purpose}")
    click.echo(f"{sum(found.not_asked.values()):>9,} may not")
    for why, count in found.not_asked.items():
        click.echo(f"  {count:>9,} {why}")
    if campaign is None:
        click.echo("Nobody may be asked: nothing was planned.")
        return
    chosen = bridge.policy.repermission
    click.echo(f"Planned: campaign {campaign.id}, approved by {campaign.approver}: {campaign.reason}")
    click.echo(
        f"Waves: {', '.join(map(str, chosen.waves))}, …; each watched for {chosen.watch}. It stops by itself at one "
        f"complaint or {chosen.bounces_stop:g} % bounces. Who does not answer within {chosen.answer_within} is deleted."
    )
    click.echo("Nothing was sent. Next: consent-bridge repermission start")


@repermission.command()
@click.argument("id", required=False)
@click.option("--yes", is_flag=True, help="Do not ask first.")
@staff_act("repermission", later=True)
@env_file
@errors_in_a_line
def start(id: str | None, yes: bool) -> None:  # noqa: A002  (the word of the command)
    """Begin the campaign that was planned last, or that of ID. The dispatcher does the rest.

    \b
    Example: consent-bridge repermission start
    """
    bridge = make_bridge()
    jobs.allowed(bridge)
    chosen = _pick(bridge, id, State.PLANNED)
    if why := jobs.changed(bridge, chosen):
        fail(f"{why}: run consent-bridge repermission plan {chosen.purpose}")
    if not yes:
        if not sys.stdin.isatty():
            fail("nothing was sent: nobody can be asked here; look once more, then say --yes")
        first = min(bridge.policy.repermission.waves[0], chosen.eligible)
        click.confirm(f"Ask up to {chosen.eligible:,} people about {chosen.purpose}, {first:,} first?", abort=True)
    if not waits_for_another(bridge, "repermission", chosen.id.encode(), {"campaign": chosen.id}):
        note_begin(bridge, campaign=chosen.id)
        _start(bridge, chosen)


def begin(bridge: Bridge, about: Mapping[str, str], hash_: bytes, *, json_: bool) -> None:  # noqa: ARG001 - as every act
    """The start of a campaign that another person asked for."""
    jobs.allowed(bridge)
    chosen = _pick(bridge, about["campaign"], State.PLANNED)
    if why := jobs.changed(bridge, chosen):
        fail(f"{why}: run consent-bridge repermission plan {chosen.purpose}")
    _start(bridge, chosen, json_=json_)


def _start(bridge: Bridge, chosen: Campaign, *, json_: bool = False) -> None:
    bridge.store.campaigns.start(chosen)
    bridge.store.nudge()
    if json_:
        show({"campaign": chosen.id, "state": State.RUNNING.value})
    else:
        click.echo(
            f"Campaign {chosen.id} is running: the dispatcher asks a wave at a time, and within a minute begins."
        )


@repermission.command()
@click.argument("id", required=False)
@staff_act("repermission pause")
@env_file
@errors_in_a_line
def pause(id: str | None) -> None:  # noqa: A002  (the word of the command)
    """Ask nobody until it is resumed; mails that have not left wait. Answers count all the same.

    \b
    Example: consent-bridge repermission pause
    """
    bridge = make_bridge()
    chosen = _pick(bridge, id, State.RUNNING)
    bridge.store.campaigns.pause(chosen)
    click.echo(f"Campaign {chosen.id} is paused. Go on with: consent-bridge repermission resume")


@repermission.command()
@click.argument("id", required=False)
@staff_act("repermission resume")
@env_file
@errors_in_a_line
def resume(id: str | None) -> None:  # noqa: A002  (the word of the command)
    """Go on with a campaign that was paused. One that stopped by itself stays stopped: plan anew.

    \b
    Example: consent-bridge repermission resume
    """
    bridge = make_bridge()
    chosen = _pick(bridge, id, State.PAUSED)
    jobs.resume(bridge, chosen)
    bridge.store.nudge()
    click.echo(f"Campaign {chosen.id} goes on.")


@repermission.command()
@as_json
@env_file
@errors_in_a_line
def status(json_: bool) -> None:
    """How far each campaign is, the newest first, and what became of whoever was asked: in all and by wave.

    \b
    Example: consent-bridge repermission status --json
    """
    book = make_bridge().store.campaigns
    found = [(campaign, book.waves(campaign.id)) for campaign in book.all()]
    if json_:
        show([_as_data(campaign, waves) for campaign, waves in found])
        return
    if not found:
        click.echo("No campaign was ever planned.")
    for campaign, waves in found:
        _say(campaign, waves)


def _pick(bridge: Bridge, wanted: str | None, state: State) -> Campaign:
    """The campaign that is meant, in the state it must be in."""
    if wanted is None:
        found = bridge.store.campaigns.in_state(state)
        if not found:
            fail(f"no campaign is {state}: see consent-bridge repermission status")
        return found[0]
    campaign = bridge.store.campaigns.find(wanted)
    if campaign is None:
        fail(f"there is no campaign {wanted}: see consent-bridge repermission status")
    if campaign.state is not state:
        fail(f"campaign {wanted} is {campaign.state}, not {state}")
    return campaign


def _total(waves: list[WaveNow]) -> Funnel:
    counts = [msgspec.to_builtins(wave.funnel) for wave in waves]
    return Funnel(**{name: sum(each[name] for each in counts) for name in Funnel.__struct_fields__})


def _numbers(funnel: Funnel) -> dict[str, int]:
    return {**msgspec.to_builtins(funnel), "delivered": funnel.delivered}


def _as_data(campaign: Campaign, waves: list[WaveNow]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "campaign": campaign.id,
        "purpose": campaign.purpose,
        "state": campaign.state.value,
        "why": campaign.why,
        "approver": campaign.approver,
        "reason": campaign.reason,
        "countries": campaign.countries.split(),
        "planned": rfc3339(campaign.made),
        "started": rfc3339(campaign.started) if campaign.started else None,
        "ended": rfc3339(campaign.ended) if campaign.ended else None,
        "eligible": campaign.eligible,
        **_numbers(_total(waves)),
    }
    told["waves"] = [
        {
            "wave": wave.wave,
            "size": wave.size,
            "begun": rfc3339(wave.begun),
            "watched_until": rfc3339(wave.watched) if wave.watched else None,
            **_numbers(wave.funnel),
        }
        for wave in waves
    ]
    return told


_SHOWN = ("asked", "delivered", "yes", "no", "bounced", "complained", "silent", "removed")


def _say(campaign: Campaign, waves: list[WaveNow]) -> None:
    """One campaign, for people."""
    why = f": {campaign.why}" if campaign.why else ""
    click.echo(f"Campaign {campaign.id} about {campaign.purpose}: {campaign.state}{why}")
    click.echo(f"  planned {rfc3339(campaign.made)}, approved by {campaign.approver}: {campaign.reason}")
    click.echo(f"  {'':10}{'eligible':>10}" + "".join(f"{name:>11}" for name in _SHOWN))
    rows = [("in all", f"{campaign.eligible:,}", _total(waves))]
    rows += [(f"wave {wave.wave}", "", wave.funnel) for wave in waves]
    for name, eligible, funnel in rows:
        numbers = _numbers(funnel)
        click.echo(f"  {name:10}{eligible:>10}" + "".join(f"{numbers[each]:>11,}" for each in _SHOWN))
    if unsent := _total(waves).unsent:
        click.echo(f"  {unsent:,} mails have not left")
    if waves and waves[-1].watched and campaign.state is State.RUNNING:
        click.echo(f"  wave {waves[-1].wave} is watched until {rfc3339(waves[-1].watched)}")
