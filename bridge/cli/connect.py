"""Commands for whoever connects a mailing platform: make what it needs, and look at what usually goes wrong."""

from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import click

from bridge.adapter import AdapterError, find
from bridge.bootstrap import START_ERRORS, Bridge
from bridge.cli.options import as_json, env_file, errors_in_a_line, fail, make_bridge, show
from bridge.jobs import clock, journeys
from bridge.jobs.connect import set_up
from bridge.jobs.doctor import Papers, look
from bridge.jobs.doctor.knock import knock
from bridge.store import OldSchema, StoreAway, StoreBroken
from bridge.vocabulary import Finding


@click.command()
@click.argument("adapter")
@as_json
@env_file
@errors_in_a_line
def setup(adapter: str, json_: bool) -> None:
    """Make what ADAPTER's platform needs (fields, groups, webhook) and say what was there; safe to run again.

    \b
    Example: consent-bridge setup mailchimp
    """
    find(adapter)  # a typing error is named before anything else
    bridge = make_bridge()
    if adapter not in bridge.adapters:
        fail(f"{adapter} is installed but not switched on: add it to BRIDGE_ADAPTERS")
    try:
        steps = set_up(bridge, adapter)
    except AdapterError as error:
        fail(error.reason)
    if json_:
        show([{"subject": step.subject, "made": step.made, "todo": step.todo} for step in steps])
        return
    for step in steps:
        click.echo(f"{'made ' if step.made else 'there'}  {step.subject}" + (f": {step.todo}" if step.todo else ""))
    if not any(step.made for step in steps):
        click.echo("nothing was missing")


@click.command()
@click.option(
    "--message",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A mail of yours as a mailbox received it (.eml): its list headers and DKIM signature.",
)
@click.option("--page", metavar="FILE|URL", help="A page of your own site with a form: ticked boxes, wording.")
@as_json
@env_file
@errors_in_a_line
def doctor(message: Path | None, page: str | None, json_: bool) -> None:
    """Look at everything that usually goes wrong, and name the fix. Exit 1 when something needs one.

    \b
    Example: consent-bridge doctor --message received.eml --page https://www.your-domain.example/newsletter
    """
    papers = Papers(_message(message) if message else None, _page(page) if page else "")
    findings = []
    for finding in _look(make_bridge(ready=False), papers):
        findings.append(finding)
        if not json_:  # each line as soon as it is known: some looks wait for others' answers
            mark = ("note" if finding.fix else "ok  ") if finding.ok else "FIX "
            click.echo(f"{mark} {finding.subject}" + (f": {finding.fix}" if finding.fix else ""))
    if json_:
        show([finding._asdict() for finding in findings])
    if not all(finding.ok for finding in findings):
        raise SystemExit(1)


def _message(file: Path) -> EmailMessage:
    message = message_from_bytes(file.read_bytes(), policy=policy.default.clone(max_line_length=None))
    if not isinstance(message, EmailMessage) or not message.keys():
        raise click.UsageError(f"{file.name} is no mail: save one with all its headers, as a mailbox received it")
    return message


def _page(place: str) -> str:
    """The page's HTML, from a file or an address; an address that does not give it is a wrong call."""
    if not place.startswith(("http://", "https://")):
        try:
            return Path(place).read_bytes().decode("utf-8", "replace")
        except OSError as error:
            raise click.UsageError(f"--page: {place} cannot be read ({error.strerror})") from None
    answer = knock("GET", place, headers={"Accept": "text/html"})
    if answer.status != 200:
        told = answer.trouble or f"it answers {answer.status}"
        raise click.UsageError(f"--page: {told}; give the address of the page itself, or a file")
    return answer.body.decode(answer.headers.get_content_charset("utf-8"), "replace")


def _look(bridge: Bridge, papers: Papers) -> Iterator[Finding]:
    """Our own side first, then each platform; one that does not answer is one finding."""
    try:
        bridge.ready()
    except (*START_ERRORS, OldSchema, StoreAway, StoreBroken) as error:
        yield from (
            Finding("settings, policy, keys and database", ok=False, fix=line) for line in str(error).splitlines()
        )
        return
    yield Finding("settings, policy, keys and database", ok=True)
    road = bridge.road
    yield from bridge.transport.check("" if road in bridge.adapters else bridge.links.url("/webhooks/", road))
    for name, adapter in bridge.adapters.items():
        try:
            yield from adapter.check(bridge.links.url("/webhooks/", name))
        except AdapterError as error:
            yield Finding(f"{name}: it answers", ok=False, fix=error.reason)
    yield from clock.findings(bridge)
    yield from journeys.findings(bridge)
    yield from look(bridge, papers)
