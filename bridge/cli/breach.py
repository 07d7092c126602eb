"""`consent-bridge breach`: the register of breaches, its clock, the papers, and telling people (GDPR 33, 34)."""

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from bridge.bootstrap import Bridge
from bridge.cli.options import Moment, as_json, env_file, errors_in_a_line, fail, make_bridge, progress, show
from bridge.cli.second import waits_for_another
from bridge.cli.staff import staff_act, tally
from bridge.store.breaches import Breach, Facts, Phase
from bridge.vocabulary import rfc3339

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NUMBER = click.argument("number", type=click.IntRange(1, 2**63 - 1))
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@click.group()
def breach() -> None:
    """A breach of personal data: write down what is known, watch the clock, count whom it concerns, tell them."""


def _facts(command: Callable[..., Any]) -> Callable[..., Any]:
    """What is known of a breach, as options."""
    for option in reversed(
        (
            click.option("--begun", type=Moment(), help="When it began."),
            click.option("--contained", type=Moment(), help="When it was over."),
            click.option("--system", "systems", multiple=True, help="What was hit; an adapter's name = that platform."),
            click.option("--table", "tables", multiple=True, help="Tables of the store that were read or lost."),
            click.option("--channel", "channels", multiple=True, help="Only people who came by it."),
            click.option("--purpose", "purposes", multiple=True, help="Only people of whom something is kept for it."),
            click.option("--consequences", help="What it is likely to mean for people."),
            click.option("--measures", help="What was done and will be done about it."),
        )
    ):
        command = option(command)
    return command


@breach.command("open")
@click.argument("what")
@click.option("--noticed", type=Moment(), help="When somebody here knew of it: the clock runs from then [now].")
@_facts
@staff_act("breach open")
@as_json
@env_file
@errors_in_a_line
def open_(what: str, noticed: datetime | None, *, json_: bool, **known: Any) -> None:
    """Begin the register of a breach; WHAT says in a sentence what happened. The clock starts.

    \b
    Example: consent-bridge breach open "a laptop with an export was stolen" --noticed 2026-11-30T09:00:00Z
    """
    bridge = make_bridge()
    facts = _with(Facts(what=what), _known(bridge, known))
    made = bridge.store.breaches.open(_whole(noticed or bridge.clock()), facts, bridge.settings.operator)
    tally(breach=made.number)
    if json_:
        show(_data(bridge, made))
        return
    click.echo(f"Breach {made.number} is open: {_left(bridge, made)}.")
    click.echo(f"Next: consent-bridge breach export {made.number} --out FOLDER")


@breach.command("list")
@as_json
@env_file
@errors_in_a_line
def list_(*, json_: bool) -> None:
    """Every breach of the register with its clock; exit 1 where the authority should have heard of one.

    \b
    Example: consent-bridge breach list
    """
    bridge = make_bridge()
    found = bridge.store.breaches.all()
    if json_:
        show([_data(bridge, one) for one in found])
    elif not found:
        click.echo("No breach is on the register.")
    else:
        for one in found:
            state = f"closed {one.closed:%Y-%m-%d}" if one.closed else _left(bridge, one)
            click.echo(f"{one.number:>4}  noticed {rfc3339(one.noticed)}  {state}  {one.facts.what}")
    if any(_data(bridge, one)["overdue"] for one in found):
        raise SystemExit(1)


@breach.command("show")
@_NUMBER
@as_json
@env_file
@errors_in_a_line
def show_(number: int, *, json_: bool) -> None:
    """Everything that is known of one breach, and what was noted by whom.

    \b
    Example: consent-bridge breach show 1
    """
    bridge = make_bridge()
    found = bridge.store.breaches.find(number)
    notes = bridge.store.breaches.notes(number)
    data = _data(bridge, found) | {"mails": bridge.store.breaches.told(number)._asdict()}
    if json_:
        show(data | {"notes": [{"time": rfc3339(note.time), "by": note.by, "text": note.text} for note in notes]})
        return
    click.echo(f"Breach {number}: {found.facts.what}")
    click.echo(f"  {'closed ' + rfc3339(found.closed) if found.closed else _left(bridge, found)}")
    for name, value in data.items():
        if name not in ("number", "what", "overdue", "closed", "words", "approved") and value not in (None, [], ""):
            click.echo(f"  {name.replace('_', ' ')}: {_said(value)}")
    for note in notes:
        click.echo(f"  {rfc3339(note.time)} {note.by}: {note.text}")


@breach.command("note")
@_NUMBER
@click.argument("text", required=False, default="")
@_facts
@click.option("--sent", help="A phase was told to the authority: its reference there.")
@click.option("--at", type=Moment(), help="When that was [now].")
@click.option("--delay", help="Why the first phase is later than the clock allows.")
@click.option("--no-report", help="Why the authority need not be told: no risk is likely, because ...")
@click.option("--told", help="People were told, and how, beside mails by `breach notify`.")
@click.option("--no-word", help="Why people are not told.")
@click.option("--words", multiple=True, metavar="LANGUAGE=FILE", help="What people are told, in one language.")
@staff_act("breach note")
@env_file
@errors_in_a_line
def note(
    *,
    number: int,
    text: str,
    sent: str | None,
    at: datetime | None,
    delay: str | None,
    no_report: str | None,
    told: str | None,
    no_word: str | None,
    words: tuple[str, ...],
    **known: Any,
) -> None:
    """Write down what is new about a breach: facts, what was told to whom, or any TEXT. No reader's address.

    \b
    Example: consent-bridge breach note 1 --consequences "phishing in our name" --measures "all keys changed"
             consent-bridge breach note 1 --sent BE-2026-114
             consent-bridge breach note 1 --words nl=brief.nl.txt --words en=letter.en.txt
    """
    bridge = make_bridge()
    when = _whole(at or bridge.clock())
    if when > bridge.clock():
        fail("--at: that moment is still to come")
    changes = _known(bridge, known)
    changes |= {name: value for name, value in (("no_report", no_report), ("no_word", no_word)) if value}
    if told:
        changes |= {"told": told, "told_at": when}
    letters = _words(bridge, words)
    lines = [f"{name.replace('_', ' ')}: {_said(value)}" for name, value in changes.items() if name != "told_at"]
    lines += [f"told to the authority: {sent}" + (f" (late: {delay})" if delay else "")] if sent else []
    lines += [f"what people are told, in {language}" for language in letters]
    lines += [text] if text else []
    if not lines:
        raise click.UsageError("say what is new: a TEXT, or one of the options")

    def build(before: Breach) -> Facts:
        facts = _with(before.facts, changes)
        if letters:
            facts = msgspec.structs.replace(facts, words={**facts.words, **letters})
        if sent:
            _reason(bridge, before, when, delay)
            phase = Phase(time=when, reference=sent, delay=delay or "")
            facts = msgspec.structs.replace(facts, phases=(*facts.phases, phase))
        return facts

    tally(breach=number)
    after = bridge.store.breaches.change(number, build, "; ".join(lines), bridge.settings.operator)
    click.echo(f"Noted. {_left(bridge, after)}.")


@breach.command("export")
@_NUMBER
@click.option("--from", "since", type=Moment(), help="Count who was here from then [when it began].")
@click.option("--to", "until", type=Moment(), help="... to then [when it was over, else now].")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="A folder for the files.")
@staff_act("breach export")
@as_json
@env_file
@errors_in_a_line
def export(*, number: int, since: datetime | None, until: datetime | None, out: Path, json_: bool) -> None:
    """Count whom and what it concerns, and write the drafts: to the authority, to people; and their ids, sealed.

    \b
    Example: consent-bridge breach export 1 --from 2026-11-01 --to 2026-11-30 --out breach-1
    """
    from bridge.jobs.breach.papers import Window
    from bridge.jobs.breach.papers import export as write

    bridge = make_bridge()
    found = bridge.store.breaches.find(number)
    first = since or found.facts.begun or _BEGINNING
    first = first.replace(microsecond=0)
    last = until or found.facts.contained or bridge.clock()
    if first > last:
        fail("--from must be before --to")
    with progress("counting", sys.stderr) as tell:
        numbers, paths = write(bridge, found, Window(first, last), out, tell)
    _exported(bridge, found, numbers)
    tally(breach=number, people=numbers["people"])
    if json_:
        show(numbers)
        return
    click.echo(
        f"{numbers['people']:,} people, {numbers['records']:,} records; erased since: {numbers['erased_since']:,}"
    )
    for path in paths:
        click.echo(f"Written: {path}")
    click.echo("Read and complete the drafts before anything leaves the house. To write to each of these people:")
    click.echo(f"  consent-bridge breach notify {number} --ids {paths[-1]}")


@breach.command("notify")
@_NUMBER
@click.option("--ids", type=_FILE, required=True, help="The sealed file of an export.")
@staff_act("breach notify")
@as_json
@env_file
@errors_in_a_line
def notify(number: int, ids: Path, *, json_: bool) -> None:
    """Ask that everybody in a sealed file is told by a mail, once. Nothing is sent before a second person approves it.

    \b
    Example: consent-bridge breach notify 1 --ids breach-1/breach-1.ids
    """
    from bridge.jobs.breach.ids import checked
    from bridge.jobs.breach.telling import subject_of

    bridge = make_bridge()
    with checked(ids) as kept:
        hash_ = subject_of(bridge, number, kept)
    about = {"breach": number, "ids": str(ids.resolve())}
    tally(breach=number)
    waits_for_another(bridge, "breach", hash_, about, json_=json_, always=True)


def carry_out(bridge: Bridge, about: Mapping[str, Any], hash_: bytes, *, json_: bool) -> None:
    """The mails that another person asked for: to the very people, in the very words that she saw."""
    from bridge.jobs.breach.ids import checked
    from bridge.jobs.breach.telling import tell

    number = int(about["breach"])
    with checked(Path(about["ids"])) as kept, progress("promising mails", sys.stderr) as say:
        found = tell(bridge, number, kept, bridge.settings.operator, approved=hash_, progress=say)
    tally(breach=number, people=found.listed)
    if json_:
        show(msgspec.structs.asdict(found))
        return
    click.echo(f"{found.listed:,} people are to be told; before: {found.before:,}; erased since: {found.gone:,}.")
    click.echo("Let `consent-bridge serve` or `dispatch` run: it mails them, a few at a time. How far it is, and who")
    click.echo(f"cannot be reached by mail, says: consent-bridge breach show {number}")


@breach.command("close")
@_NUMBER
@click.argument("text")
@staff_act("breach close")
@env_file
@errors_in_a_line
def close(number: int, text: str) -> None:
    """It is over; TEXT says how it ended. Refused while nothing is noted of the authority and of people.

    \b
    Example: consent-bridge breach close 1 "keys changed, authority took note, people told"
    """
    bridge = make_bridge()
    mailed = any(bridge.store.breaches.told(number))
    tally(breach=number)

    def build(before: Breach) -> Facts:
        facts = before.facts
        if not facts.phases and not facts.no_report:
            fail("the authority heard nothing: breach note --sent REFERENCE, or --no-report REASON (GDPR 33(1))")
        if not mailed and not facts.told and not facts.no_word:
            fail("people heard nothing: breach notify, or breach note --told HOW, or --no-word REASON (GDPR 34)")
        return facts

    bridge.store.breaches.change(number, build, f"closed: {text}", bridge.settings.operator, close=True)
    click.echo(f"Breach {number} is closed.")


def _known(bridge: Bridge, known: Mapping[str, Any]) -> dict[str, Any]:
    """What was said by options. A typing error is named before anything is written."""
    policy = bridge.policy
    for name, kind, there in (("purposes", "purpose", policy.purposes), ("channels", "channel", policy.channels)):
        if wrong := [one for one in known[name] if one not in there]:
            fail(f"--{kind}: the policy has no {wrong[0]}; there are: {', '.join(there)}")
    from bridge.tables import metadata

    if wrong := [one for one in known["tables"] if one not in metadata.tables]:
        fail(f"--table: the store has no {wrong[0]}; there are: {', '.join(sorted(metadata.tables))}")
    return {name: _whole(value) for name, value in known.items() if value}


def _whole(value: Any) -> Any:
    """A moment in whole seconds."""
    return value.replace(microsecond=0) if isinstance(value, datetime) else value


def _with(facts: Facts, changes: Mapping[str, Any]) -> Facts:
    return msgspec.structs.replace(facts, **changes)


def _words(bridge: Bridge, given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for one in given:
        language, sign, path = one.partition("=")
        if not sign or language not in bridge.policy.languages:
            fail(f"--words: write LANGUAGE=FILE, with one of: {', '.join(bridge.policy.languages)}")
        try:
            found[language] = Path(path).read_text(encoding="utf-8").strip()
        except UnicodeDecodeError:
            fail(f"{path}: is not UTF-8; save it as UTF-8")
        if not found[language]:
            fail(f"{path}: is empty")
    return found


def _reason(bridge: Bridge, before: Breach, when: datetime, delay: str | None) -> None:
    from bridge.decide import needs_reason

    span = bridge.policy.limits_.breach_clock
    told = [phase.time for phase in before.facts.phases]
    if needs_reason(before.noticed, span.time, when, told) and not delay:
        fail(f"the first word to the authority is later than {span} after it was noticed: say why, --delay REASON")


def _exported(bridge: Bridge, found: Breach, numbers: Mapping[str, Any]) -> None:
    """The register keeps how many it concerned, by the last count."""
    counts = {"people": numbers["people"], "records": numbers["records"]}
    window = "{from} to {to}".format(**numbers["window"])
    text = f"exported, {window}: {counts['people']} people, {counts['records']} records"
    if found.closed:
        bridge.store.breaches.add(found.number, text, bridge.settings.operator)
        return
    bridge.store.breaches.change(
        found.number, lambda before: _with(before.facts, counts), text, bridge.settings.operator
    )


def _data(bridge: Bridge, found: Breach) -> dict[str, Any]:
    from bridge.jobs.breach.papers import as_data

    return as_data(bridge, found)


def _left(bridge: Bridge, found: Breach) -> str:
    from bridge.jobs.breach.papers import clock_of, time_left

    clock = clock_of(bridge, found)
    return f"{time_left(clock)} (authority, due {rfc3339(clock.due)})" if not clock.stopped else time_left(clock)


def _said(value: Any) -> str:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value))
    if isinstance(value, dict):
        return " ".join(f"{name} {_said(one)}" for name, one in value.items())
    return str(value)
