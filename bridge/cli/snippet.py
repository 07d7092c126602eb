"""`consent-bridge snippet`: pieces of HTML for the operator's own site and for her mails."""

import click

from bridge import embedding
from bridge.adapter import find
from bridge.bootstrap import Bridge
from bridge.cli.options import env_file, errors_in_a_line, fail, make_bridge


@click.group()
def snippet() -> None:
    """Pieces of HTML to paste: our form for your own site, the link for your mails."""


@snippet.command()
@click.option("--channel", required=True, help="Whose form: a channel of your policy.")
@click.option("--language", help="One of your policy's languages; else its first.")
@click.option("--component", is_flag=True, help="With a small script of ours that keeps the words at today's.")
@click.option(
    "--style", is_flag=True, help="With looks for it, in your policy's colour: nothing else on the page changes."
)
@env_file
@errors_in_a_line
def form(*, channel: str, language: str | None, component: bool, style: bool) -> None:
    """Print the form of a channel for your own site: plain HTML, without a script or a style unless you want one.

    \b
    Example: consent-bridge snippet form --channel footer --language nl > form.html
             consent-bridge snippet form --channel footer --component --style > form.html
    """
    bridge = make_bridge()
    if channel not in bridge.policy.forms:
        fail(f"--channel: the policy's forms are {', '.join(bridge.policy.forms) or 'none'}")
    spoken = _language(bridge, language)
    its = (bridge.policy, bridge.notices, bridge.links, bridge.texts)
    told = embedding.form(*its, channel=channel, language=spoken, scripted=component)
    if component:
        told = embedding.component(told, bridge.links, channel=channel, language=spoken)
    if style:
        told = f"{embedding.style(bridge.policy)}\n{told}"
    click.echo(told)


@snippet.command()
@click.argument("adapter")
@click.option("--language", help="One of your policy's languages; else its first.")
@env_file
@errors_in_a_line
def mail(adapter: str, language: str | None) -> None:
    """Print the link to her preferences for your templates at ADAPTER, which puts each reader's own address there.

    \b
    Example: consent-bridge snippet mail mailchimp --language nl
    """
    place = find(adapter).link_place
    if not place:
        fail(f"{adapter} does not say where its templates take a reader's link: see its own manual")
    bridge = make_bridge()
    click.echo(embedding.mail_link(bridge.texts, place, _language(bridge, language)))


def _language(bridge: Bridge, wanted: str | None) -> str:
    if wanted is not None and wanted not in bridge.policy.languages:
        fail(f"--language: the policy offers {', '.join(bridge.policy.languages)}")
    return wanted or bridge.policy.languages[0]
