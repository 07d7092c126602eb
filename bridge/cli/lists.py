"""`consent-bridge import`: a list that is there already, taken in with its evidence."""

import sys
from pathlib import Path

import click
import msgspec

from bridge.adapter import AdapterError, find
from bridge.bootstrap import Bridge
from bridge.cli.options import as_json, env_file, errors_in_a_line, fail, make_bridge, progress, show
from bridge.cli.staff import staff_act, tally
from bridge.jobs.lists.files import ListFile
from bridge.jobs.lists.lines import Defaults
from bridge.jobs.lists.moments import ORDERS
from bridge.jobs.lists.taking import Import, Result, Said
from bridge.store import StoreAway

_NEW = click.Path(dir_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("import")
@click.argument("file", required=False, type=_FILE)
@click.option("--channel", required=True, help="Where these people were asked: a channel of your policy.")
@click.option("--from", "platform", metavar="ADAPTER", help="Everybody this platform holds, instead of a file.")
@click.option("--purpose", default="", help="What rows are about that do not say it; else the channel's first.")
@click.option("--status", default="", help="How people stand whose row does not say it, such as: unsubscribed.")
@click.option("--dates", type=click.Choice(ORDERS), help="How dates like 04/05/2024 are meant.")
@click.option("--rejects", type=_NEW, help="Where rows go that cannot be taken in; else beside FILE.")
@click.option("--dry-run", is_flag=True, help="Say what would happen; change nothing.")
@staff_act("import", unless=lambda options: options["dry_run"])
@as_json
@env_file
@errors_in_a_line
def import_(
    *,
    file: Path | None,
    channel: str,
    platform: str | None,
    purpose: str,
    status: str,
    dates: str | None,
    rejects: Path | None,
    dry_run: bool,
    json_: bool,
) -> None:
    """Take in contacts with their evidence: a CSV file, also as Mailchimp and SendGrid export it.

    A row whose proof is whole (time, channel, notice, language, method, source_document) counts as a yes. Any other is
    kept as a contact without proof, who is not mailed. A no stands: nobody comes back by a file. Rows that cannot be
    read are written to FILE.rejected.csv. Killed, it goes on when run again; run twice, it changes nothing.

    \b
    Example: consent-bridge import subscribed.csv --channel website --dry-run
             consent-bridge import unsubscribed.csv --channel website --purpose newsletter
             consent-bridge import --from mailchimp --channel website
    """
    if (file is None) == (platform is None):
        raise click.UsageError("name a FILE, or a platform with --from; one of both")
    if platform is not None:
        if purpose or status or dates or rejects:
            raise click.UsageError("--purpose, --status, --dates and --rejects are about files")
        find(platform)
    bridge = make_bridge()
    defaults = Defaults(channel=channel, purpose=purpose, status=status, dates=dates or "")
    _known(bridge, defaults, platform)
    said = Said()
    with progress("importing", sys.stderr) as tell:
        job = Import(bridge, defaults, dry_run=dry_run, progress=tell)
        try:
            if file is not None:
                result, said = job.file(ListFile(file), rejects)
            else:
                result = job.platform(str(platform))
        except AdapterError as error:
            fail(f"{error.reason}; whoever was read so far is taken in: run it again, it begins anew")
        except StoreAway as error:
            fail(f"the store is away: {error}. Run it again: what was taken in stays")
    tally(
        rows=result.rows,
        imported=result.imported,
        suppressed=result.suppressed,
        rejected=result.rejected,
        channel=channel,
    )
    if json_:
        show(msgspec.to_builtins(result))
        if said.rejects:
            click.echo(f"Rejected rows, with addresses: {said.rejects}; delete it when you are done", err=True)
    else:
        _say(result, said, dry_run=dry_run)


def _known(bridge: Bridge, defaults: Defaults, platform: str | None) -> None:
    """A typing error is named before anything is read."""
    policy, purpose = bridge.policy, defaults.purpose
    channel = policy.channels.get(defaults.channel)
    if channel is None:
        fail(f"unknown channel {defaults.channel}: the policy declares {', '.join(policy.channels)}")
    if purpose and purpose not in policy.purposes:
        fail(f"unknown purpose {purpose}: the policy declares {', '.join(policy.purposes)}")
    if purpose and purpose not in channel.purposes and not defaults.is_no:
        fail(f"the channel {channel.id} asks for {', '.join(channel.purposes)} only")
    if problem := defaults.problem:
        fail(f"--status: {problem}")
    if platform is not None and platform not in bridge.adapters:
        fail(f"{platform} is installed but not switched on: add it to BRIDGE_ADAPTERS")


def _say(result: Result, said: Said, *, dry_run: bool) -> None:
    """The counts, for people."""
    click.echo(f"{result.rows:,} {'row' if result.rows == 1 else 'rows'}")
    where = f": see {said.rejects} (with addresses; delete it when you are done)" if said.rejects else ""
    for count, what in (
        (result.imported, "imported"),
        (result.unchanged, "known already, unchanged"),
        (result.suppressed, "suppressed: they said no, or the address is dead"),
        (result.rejected, f"rejected{where}"),
    ):
        click.echo(f"  {count:>9,} {what}")
    if said.kinds:
        click.echo("They say: " + ", ".join(f"{kind} {count:,}" for kind, count in said.kinds.items()))
    if said.lacking:
        lacking = ", ".join(f"{name} ({count:,})" for name, count in said.lacking.items())
        click.echo(f"Nobody without proof is mailed. What those rows lack: {lacking}")
    if result.dropped_fields:
        fields = ", ".join(f"{name} ({count:,})" for name, count in result.dropped_fields.items())
        click.echo(f"Never kept, because the policy declares no such field: {fields}")
    if dry_run:
        click.echo("Nothing was changed (dry run). The same without --dry-run takes it in.")
