"""`consent-bridge audit` and `clean`: every address against the evidence, and what has none taken out."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import click
import msgspec

from bridge.adapter import AdapterError, find
from bridge.bootstrap import Bridge
from bridge.cli.options import as_json, env_file, errors_in_a_line, fail, make_bridge, progress, show
from bridge.cli.second import waits_for_another
from bridge.cli.staff import begin, staff_act, tally
from bridge.files import whole
from bridge.jobs.audit.cleaning import Clean, Cleaned, Plan
from bridge.jobs.audit.kept import SUFFIX, About, Kept, reviewed, written
from bridge.jobs.audit.looking import Audit
from bridge.jobs.audit.paper import as_counts, as_html
from bridge.jobs.audit.tally import Tally, every
from bridge.jobs.lists.files import ListFile
from bridge.jobs.lists.lines import Defaults
from bridge.jobs.lists.moments import ORDERS
from bridge.jobs.lists.rules import rules_of
from bridge.store import StoreAway
from bridge.store.removing import REMOVED
from bridge.vocabulary import rfc3339

_NEW = click.Path(dir_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", required=False, type=_FILE)
@click.option("--adapter", metavar="NAME", help="Everybody this platform holds, instead of a file or the store.")
@click.option("--purpose", default="", help="What rows are about that do not say it; else the policy's first.")
@click.option("--channel", default="", help="Where people were asked whose row does not say it.")
@click.option("--status", default="", help="How people stand whose row does not say it, such as: unsubscribed.")
@click.option("--dates", type=click.Choice(ORDERS), help="How dates like 04/05/2024 are meant.")
@click.option("--language", default="", help="Of the report, such as: en; else the policy's first.")
@click.option("--out", type=_NEW, help="Write OUT.html and OUT.json (counts), and OUT.audit (addresses, for `clean`).")
@staff_act("audit", unless=lambda options: options["out"] is None)
@as_json
@env_file
@errors_in_a_line
def audit(
    *,
    file: Path | None,
    adapter: str | None,
    purpose: str,
    channel: str,
    status: str,
    dates: str | None,
    language: str,
    out: Path | None,
    json_: bool,
) -> None:
    """Sort every contact by its proof: proven, soft_proven, incomplete, none, stopped. Changes nothing.

    Of the store, of a FILE, or of a platform; what is known here counts for all three. A yes counts by today's bar,
    however old it is. `incomplete` says what is missing.

    \b
    Example: consent-bridge audit
             consent-bridge audit subscribed.csv
             consent-bridge audit --adapter mailchimp --out first-day
    """
    if file is not None and adapter is not None:
        raise click.UsageError("name a FILE or an --adapter, not both")
    if file is None and (channel or status or dates):
        raise click.UsageError("--channel, --status and --dates are about files")
    if adapter is not None:
        find(adapter)
    bridge = make_bridge()
    defaults = Defaults(channel=channel, purpose=purpose, status=status, dates=dates or "")
    _known(bridge, defaults, adapter)
    if language and language not in bridge.policy.languages:
        fail(f"no language {language} in the policy; there are: {', '.join(bridge.policy.languages)}")
    paths = _paths(out) if out else {}
    with ExitStack() as stack:
        tell = stack.enter_context(progress("auditing", sys.stderr))
        look = Audit(bridge, tell)
        if out:
            about = About(made=look.made, source=_source(file, adapter), rules=rules_of(bridge).hex())
            look.keep = stack.enter_context(written(paths[SUFFIX], bridge.vault, about)).add
        try:
            if file is not None:
                found = look.file(ListFile(file), defaults)
            elif adapter is not None:
                found = look.platform(adapter, purpose)
            else:
                found = look.store()
        except AdapterError as error:
            fail(f"{adapter}: {error.reason}; nothing was changed: run it again")
    tally(contacts=found.total)
    if json_:
        show(found.as_json())
    else:
        _say(found)
    if out:
        _write(bridge, paths, found, language or bridge.policy.languages[0])


@click.command()
@click.option("--from", "source", type=_FILE, required=True, metavar="AUDIT", help="The file OUT.audit of an audit.")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@staff_act("clean", later=True)
@as_json
@env_file
@errors_in_a_line
def clean(*, source: Path, yes: bool, json_: bool) -> None:
    """Take out whom an audit found without proof, or stopped: from the store and from every platform.

    Shows the plan first. Whoever is proven for anything, or not even complete, stays. A no stays as a keyed hash; who
    is only deleted may sign up again. An audit of yesterday, or one whose people have changed since, is refused.

    \b
    Example: consent-bridge clean --from first-day.audit
    """
    bridge = make_bridge()
    with ExitStack() as stack:
        kept = stack.enter_context(reviewed(_kept(source), bridge.vault))
        tell = stack.enter_context(progress("reading", sys.stderr))
        job = stack.enter_context(_cleaning(bridge, kept, tell))
        plan = job.plan()
        if not json_:
            _say_plan(plan, kept)
        if plan.is_empty:
            _say_done(plan, Cleaned(), bridge, json_=json_)
            return
        if not yes:
            if not sys.stdin.isatty():
                fail("nothing was changed: nobody can be asked here; look at the plan once more, then say --yes")
            click.confirm("Take them out for good?", abort=True, err=True)
        if waits_for_another(bridge, "clean", kept.hash, {"from": str(kept.path.resolve())}, json_=json_):
            return
        begin(bridge)
        _say_done(plan, _carried_out(job), bridge, json_=json_)


def carry_out(bridge: Bridge, about: Mapping[str, str], hash_: bytes, *, json_: bool) -> None:
    """A clean that another person asked for: the very audit that she saw."""
    with ExitStack() as stack:
        kept = stack.enter_context(reviewed(Path(about["from"]), bridge.vault))
        if kept.hash != hash_:
            fail(f"{kept.path}: is another audit than the one that was to be approved; ask for it again")
        job = stack.enter_context(_cleaning(bridge, kept, stack.enter_context(progress("cleaning", sys.stderr))))
        plan = job.plan()
        if not json_:
            _say_plan(plan, kept)
        _say_done(plan, Cleaned() if plan.is_empty else _carried_out(job), bridge, json_=json_)


def _carried_out(job: Clean) -> Cleaned:
    done = job.carry_out()
    tally(removed=done.removed, kept=done.kept, gone=done.gone)
    return done


@contextmanager
def _cleaning(bridge: Bridge, kept: Kept, tell: Callable[[int, int], None]) -> Iterator[Clean]:
    """The job, and what can go wrong with it in words."""
    try:
        with closing(Clean(bridge, kept, tell)) as job:
            yield job
    except AdapterError as error:
        fail(f"{error.reason}; nothing was changed: run it again")
    except StoreAway as error:
        fail(f"the store is away: {error}. Run it again: it goes on where it was")


def _known(bridge: Bridge, defaults: Defaults, adapter: str | None) -> None:
    """A typing error is named before anything is read."""
    policy = bridge.policy
    if defaults.purpose and defaults.purpose not in policy.purposes:
        fail(f"unknown purpose {defaults.purpose}: the policy declares {', '.join(policy.purposes)}")
    if defaults.channel and defaults.channel not in policy.channels:
        fail(f"unknown channel {defaults.channel}: the policy declares {', '.join(policy.channels)}")
    if problem := defaults.problem:
        fail(f"--status: {problem}")
    if adapter is not None and adapter not in bridge.adapters:
        fail(f"{adapter} is installed but not switched on: add it to BRIDGE_ADAPTERS")


def _source(file: Path | None, adapter: str | None) -> str:
    return file.name if file is not None else adapter or "store"


def _stem(path: Path) -> Path:
    return path.with_suffix("") if path.suffix in (SUFFIX, ".html", ".json") else path


def _paths(out: Path) -> dict[str, Path]:
    """The files of an audit, none of which is there yet."""
    paths = {suffix: Path(f"{_stem(out)}{suffix}") for suffix in (".html", ".json", SUFFIX)}
    for path in paths.values():
        if path.exists():
            fail(f"{path} is there already and is never overwritten; choose another name")
    return paths


def _kept(source: Path) -> Path:
    """The file with the addresses, whichever of the audit's three is named."""
    beside = Path(f"{_stem(source)}{SUFFIX}")
    return beside if beside.exists() else source


def _write(bridge: Bridge, paths: Mapping[str, Path], tally: Tally, language: str) -> None:
    """The counts for others, and where all of it lies."""
    with whole(paths[".json"]) as file:
        file.write(json.dumps(as_counts(tally), ensure_ascii=False, indent=2).encode() + b"\n")
    with whole(paths[".html"]) as file:
        file.write(as_html(bridge, tally, language).encode())
    click.echo(f"Written: {paths['.html']} and {paths['.json']}, counts only", err=True)
    click.echo(f"Written: {paths[SUFFIX]}, with addresses; delete it when you are done", err=True)
    if any(tally.grades[grade] for grade in REMOVED):
        click.echo(f"Next, with a look at the plan first: consent-bridge clean --from {paths[SUFFIX]}", err=True)


def _say(tally: Tally) -> None:
    """The counts, for people."""
    about = "contacts, each once for each purpose"
    if tally.rows:
        about += f", of {tally.rows:,} rows ({tally.repeated:,} said again, {tally.rejected:,} cannot be read)"
    click.echo(f"{tally.total:,} {about}")
    for grade, count in every(tally.grades).items():
        share = count / tally.total if tally.total else 0
        click.echo(f"  {count:>9,} {share:>6.1%}  {_WORDS[grade]}")
    for title, groups in (("By purpose", tally.by_purpose), ("By channel", tally.by_channel)):
        click.echo(f"{title}:")
        for name, counts in sorted(groups.items()):
            told = ", ".join(f"{grade} {count:,}" for grade, count in every(counts).items() if count)
            click.echo(f"  {name}: {told}")
    if tally.unreadable:
        click.echo(f"Cannot be read: {tally.unreadable:,}. Run: consent-bridge verify")
    if tally.missing:
        facts = ", ".join(f"{_FACTS.get(name, name)} ({count:,})" for name, count in tally.missing.most_common())
        click.echo(f"What is missing: {facts}")


def _say_plan(plan: Plan, kept: Kept) -> None:
    made = rfc3339(kept.about.made)
    click.echo(f"Audit of {kept.about.source}, made {made}: {plan.audited:,} people")
    if plan.done:
        return
    click.echo(f"  {plan.remove:>9,} go: {plan.none:,} without any proof, {plan.stopped:,} who said no")
    where = [("the store", plan.here), *sorted(plan.there.items())]
    click.echo("            from " + ", ".join(f"{name} {count:,}" for name, count in where))
    click.echo(f"  {plan.keep:>9,} stay: something of theirs is proven, or incomplete")
    if plan.gone:
        click.echo(f"  {plan.gone:>9,} are gone already, here and at every platform")
    if plan.noes:
        click.echo(f"  {plan.noes:>9,} said no to something in that list that is not known here yet: it is taken in")
    if plan.off:
        click.echo(
            f"  {plan.off:>9,} of those who stay are on at a platform for what is not proven: taken off it there"
        )
    if plan.stopped:
        click.echo("What they said no to stays on the stop list, as keyed hashes.")


def _say_done(plan: Plan, done: Cleaned, bridge: Bridge, *, json_: bool) -> None:
    notes = [f"{name}: {bridge.adapters[name].after_erasure}" for name in sorted(plan.there) if name in bridge.adapters]
    notes = [note for note in notes if not note.endswith(": ")]
    notes += [
        f"{task.name.removesuffix(' erasures')}: BRIDGE_ADAPTERS does not name it any more, so nobody tells it; "
        "delete them there by hand"
        for task in bridge.store.tasks()
        if task.name.endswith(" erasures") and task.name.removesuffix(" erasures") not in bridge.adapters
    ]
    if json_:
        show({"plan": msgspec.to_builtins(plan), "done": msgspec.to_builtins(done), "warnings": notes})
        return
    if plan.done:
        click.echo("This audit was carried out already: nothing was changed.")
        return
    if plan.is_empty:
        click.echo("There is nothing to take out: nothing was changed.")
        return
    click.echo(f"Taken out: {done.removed:,}. Left as they are: {done.kept:,}. Gone before: {done.gone:,}.")
    for note in notes:
        click.echo(note)
    if plan.there:
        click.echo("Let `consent-bridge serve` or `dispatch` run: it takes them out there, and looks that it holds.")


_WORDS: Mapping[str, str] = {
    "proven": "proven: who, when, how, which words",
    "soft_proven": "soft_proven: own customers, with all facts of the sale",
    "incomplete": "incomplete: something is missing; not mailed",
    "none": "none: nothing shows that they said yes; not mailed",
    "stopped": "stopped: they said no",
}
_FACTS: Mapping[str, str] = {
    "time": "when",
    "notice": "which words",
    "language": "in which language",
    "method": "how",
    "confirmation": "that the mailbox's owner said it",
    "source_document": "where that can be seen",
    "status": "that they said yes at all",
    "channel": "where they were asked",
    "age": "a yes that is not too old",
    "words": "a yes to the words of today",
    "address": "a confirmation from the new address",
    "country": "a country that allows soft opt-in",
    "guardian": "their age asked, or a guardian's yes",
}
