"""`consent-bridge child`: what a parent, or a reader, says of a child by letter or phone (KID-01, R15)."""

import click

from bridge.bootstrap import Bridge
from bridge.cli.options import address, as_json, env_file, errors_in_a_line, fail, make_bridge, show
from bridge.cli.staff import staff_act
from bridge.store.values import Person
from bridge.vault import new_id
from bridge.vocabulary import EVERY_PURPOSE, GUARDIAN, OPERATOR, ConsentEvent, EventType, Evidence, Method

T = EventType

_LONGEST_REFERENCE = 200


@click.command()
@click.argument("email")
@click.option("--declared", is_flag=True, help="EMAIL is a child's: nothing is mailed until a guardian agrees.")
@click.option("--agreed", metavar="PURPOSE", default="", help="A guardian agreed to this, as the document shows.")
@click.option("--refused", metavar="PURPOSE", default="", help="A guardian said no to this, or took the yes back.")
@click.option("--of-age", is_flag=True, help="The reader is no child, or none any more, as the document shows.")
@click.option("--document", metavar="REF", required=True, help="Where that can be seen: a short reference.")
@staff_act("child")
@as_json
@env_file
@errors_in_a_line
def child(email: str, *, declared: bool, agreed: str, refused: str, of_age: bool, document: str, json_: bool) -> None:
    """Note what a letter says about the age of whoever has EMAIL. EMAIL `-` reads standard input.

    A guardian's yes by letter counts like one by the mailed link, for a year at most (guardian_lasts in the policy).
    The child's own yes is needed as well. No birth date is asked or kept.

    \b
    Example: consent-bridge child kim@site.example --agreed club --document letter-2026-17
             consent-bridge child an@site.example --of-age --document call-2026-18
    """
    if [declared, bool(agreed), bool(refused), of_age].count(True) != 1:
        raise click.UsageError("say one of --declared, --agreed PURPOSE, --refused PURPOSE and --of-age")
    if not document.strip() or len(document) > _LONGEST_REFERENCE or "@" in document:
        fail("--document must be a short reference, without any address")
    bridge = make_bridge()
    purpose = agreed or refused
    if purpose and purpose not in bridge.policy.purposes:
        fail(f"there is no purpose of that name; the policy has: {', '.join(bridge.policy.purposes)}")
    person = bridge.store.person(address(email))
    if person is None:
        fail("nobody of that address is here: nothing was written")
    kind = T.CHILD_DECLARED if declared else T.OF_AGE if of_age else T.GUARDIAN_CONFIRMED if agreed else T.WITHDRAWN
    bridge.store.record([_event(bridge, person, kind, purpose, document)])
    if json_:
        show({"noted": str(kind), "purpose": purpose or None})
        return
    click.echo(f"Noted: {kind}{f' for {purpose}' if purpose else ''}. The platforms are told.")


def _event(bridge: Bridge, person: Person, kind: EventType, purpose: str, document: str) -> ConsentEvent:
    now = bridge.clock()
    yes = kind is T.GUARDIAN_CONFIRMED
    return ConsentEvent(
        type=kind,
        subject=person.id,
        time=now,
        received=now,
        source=GUARDIAN if kind is T.WITHDRAWN else OPERATOR,
        method=Method.STAFF,
        key=new_id(),
        purpose=purpose or EVERY_PURPOSE,
        until=now + bridge.policy.limits_.guardian_lasts.time if yes else None,
        notice=bridge.policy.purposes[purpose].notice if yes else None,
        evidence=Evidence(document=document),
    )
