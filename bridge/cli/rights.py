"""`rights`: requests that come by letter or phone, with their clocks (RGT-07, RGT-08, RGT-09)."""

import os
import sys
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, TextIO

import click

from bridge.access import NAMES
from bridge.bootstrap import Bridge
from bridge.cli.options import address, as_json, check_address, env_file, errors_in_a_line, fail, make_bridge, show
from bridge.cli.staff import begin, staff_act, tally
from bridge.files import write_private
from bridge.jobs import requests as jobs
from bridge.store import BadInput
from bridge.store.case_files import STOPPING, Case, Proof, Told
from bridge.vault import Sealed
from bridge.vocabulary import RequestKind, rfc3339

_KIND = click.Choice([kind.value for kind in RequestKind])
_LANGUAGE = click.option("--language", help="Of the letter: by default hers, else the policy's first.")
_OUT = click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Write what she gets there.")


class _Day(click.ParamType[date]):
    """A day, as 2026-11-25."""

    name = "day"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Read it; 2 is the exit code for what is no day."""
        try:
            return value if isinstance(value, date) else datetime.strptime(str(value), "%Y-%m-%d").date()  # noqa: DTZ007  (a day has no zone)
        except ValueError:
            self.fail(f"{value!r} is no day: write 2026-11-25", param, ctx)


@click.group()
def rights() -> None:
    """Requests of people by letter or phone: write them down, keep their time, answer them."""


@rights.command("open")
@click.argument("email")
@click.argument("kind", type=_KIND)
@click.option("--received", type=_Day(), help="The day it came, as 2026-11-25; today where nothing is said.")
@click.option("--purpose", default="", help="Of a withdrawal: the one purpose that she wants no more.")
@click.option("--note", default="", help="What she asks, in a few words; `-` reads it from standard input.")
@click.option("--own-mailbox", is_flag=True, help="The request came by mail from this very mailbox.")
@click.option("--language", default="", help="In which she is answered; by default hers, else the policy's first.")
@staff_act("rights open")
@as_json
@env_file
@errors_in_a_line
def open_(email: str, kind: str, json_: bool, **told: Any) -> None:
    """Write down what EMAIL asks; EMAIL `-` reads standard input. Says by when it must be answered.

    KIND is access, rectify, erase, restrict, port, object, withdraw or complaint. Whoever asks to be mailed no more, or
    to be erased, is mailed no more from this moment on, whoever she says she is: a no is never wrong.

    \b
    Example: consent-bridge rights open reader@site.example access --received 2026-11-25
             consent-bridge rights open - object < letter-12.txt
    """
    bridge = make_bridge()
    wanted = address(email)
    check_address(wanted)
    language = _spoken(bridge, told["language"])
    if told["purpose"] and kind != RequestKind.WITHDRAW:
        fail("--purpose is of a withdrawal: an objection is to all of it, and the rest is about a person, not a list")
    person = bridge.store.person(wanted)
    about = Told(
        email=wanted,
        language=language or (person.language if person else ""),
        purpose=told["purpose"],
        note=_text(told["note"]),
    )
    case = jobs.open_request(bridge, about, RequestKind(kind), told["received"], own_mailbox=told["own_mailbox"])
    tally(kind=case.kind.value)
    bridge.store.nudge()
    if json_:
        show(_as_data(bridge, case))
        return
    click.echo(f"Request {case.id}: {case.kind}, received {case.received}, to be answered by {case.due}.")
    if RequestKind(kind) in STOPPING:
        click.echo("She is mailed no more from now on, and each mailing platform is told.")
    for line in _next(bridge, case):
        click.echo(line)


@rights.command("list")
@click.option("--all", "everything", is_flag=True, help="Also those that are closed.")
@as_json
@env_file
@errors_in_a_line
def list_(everything: bool, json_: bool) -> None:
    """Open requests, what is due first, with what presses: a week old, three weeks, due within 3 days, overdue.

    \b
    Example: consent-bridge rights list
    """
    bridge = make_bridge()
    found = bridge.store.cases.all(closed=everything)
    if json_:
        show([_as_data(bridge, case) for case in found])
        return
    if not found:
        click.echo("No request is open." if not everything else "No request was ever written down.")
    for case in found:
        pressing = jobs.pressing(bridge, case)
        state = case.state if case.closed else f"due {case.due}"
        said = f"  {str(pressing).upper()}" if pressing else ""
        click.echo(f"{case.id}  {case.kind:9}  received {case.received}  {state:14}  {_whose(case):8}{said}".rstrip())


@rights.command("show")
@click.argument("id")
@staff_act("rights show")
@as_json
@env_file
@errors_in_a_line
def show_(id: str, json_: bool) -> None:  # noqa: A002  (the word of the command)
    """One request with all that is written in it.

    \b
    Example: consent-bridge rights show 5hX0c1Yb2kQ8r9tUvWxYzA
    """
    bridge, case = _case(id)
    try:
        told = bridge.store.cases.told(case)
    except Sealed:
        fail("what is written in this request cannot be opened: run consent-bridge verify")
    data = _as_data(bridge, case)
    if told is not None:
        kept = {name: getattr(told, name) for name in Told.__struct_fields__}
        data |= {name: value for name, value in kept.items() if value}
    if json_:
        show(data)
        return
    for name, value in data.items():
        if value not in (None, "", False):
            click.echo(f"{name + ':':14} {value}")
    if told is None:
        click.echo("She was erased: kind and dates are left of this request.")
    for line in _next(bridge, case):
        click.echo(line)


@rights.command()
@click.argument("id")
@click.option("--own-mailbox", is_flag=True, help="The request came by mail from the mailbox that it is about.")
@click.option("--other-mailbox", is_flag=True, help="It came from another one: prints what is written back there.")
@_LANGUAGE
@staff_act("rights verify")
@env_file
@errors_in_a_line
def verify(id: str, own_mailbox: bool, other_mailbox: bool, language: str | None) -> None:  # noqa: A002  (as above)
    """Is it she who asks? Mails her a link to a page where she says so; who has her mailbox is known well enough.

    Never ask for a copy of an identity card (GDPR 5(1)(c), 12(6)).

    \b
    Example: consent-bridge rights verify 5hX0c1Yb2kQ8r9tUvWxYzA
             consent-bridge rights verify 5hX0c1Yb2kQ8r9tUvWxYzA --other-mailbox > answer.txt
    """
    bridge, case = _case(id)
    if own_mailbox and other_mailbox:
        fail("it came from one mailbox: say --own-mailbox or --other-mailbox")
    if case.closed:
        fail("that request is closed already: see consent-bridge rights list --all")
    if other_mailbox:
        click.echo(jobs.other_mailbox(bridge, case, _spoken(bridge, language)))
    elif own_mailbox:
        bridge.store.cases.verify(case, Proof.OWN_MAILBOX)
        click.echo("Noted: it came from her own mailbox.")
    else:
        jobs.ask_whether_hers(bridge, case)
        bridge.store.nudge()
        click.echo("The mail is promised; `consent-bridge rights list` shows when she has said that it is she.")


@rights.command()
@click.argument("id")
@click.option("--text", default="", help="Words of your own in the letter; `-` reads them from standard input.")
@click.option(
    "--set", "changes", multiple=True, metavar="NAME=VALUE", help="Of rectify: what is right. May be repeated."
)
@click.option("--yes", is_flag=True, help="Do not ask before an erasure.")
@_OUT
@_LANGUAGE
@staff_act("rights answer", later=True)
@as_json
@env_file
@errors_in_a_line
def answer(id: str, json_: bool, **said: Any) -> None:  # noqa: A002  (as above)
    """Carry out what is asked, close the request, and give the letter for her; of her data also the files.

    Access and port write letter.txt, my-data.json, my-data.csv, my-data.html and, where she has any, her receipts into
    --out. The other kinds print the letter. Erase cannot be undone.

    \b
    Example: consent-bridge rights answer 5hX0c1Yb2kQ8r9tUvWxYzA --out letter-12
             consent-bridge rights answer 5hX0c1Yb2kQ8r9tUvWxYzA --set language=en
    """
    bridge, case = _case(id)
    out: Path | None = said["out"]
    if case.kind in jobs.WITH_DATA and out is None:
        fail("her data goes into files: say --out FOLDER")
    if out:
        _room(out)
    if case.kind is RequestKind.ERASE and not case.dark and not case.closed and not said["yes"]:
        if not sys.stdin.isatty():
            fail("nothing was erased: nobody can be asked here; look once more, then say --yes")
        click.confirm("Erase this person for good, with all proof, here and at each platform?", abort=True, err=True)
    begin(bridge, kind=case.kind.value)
    written: list[str] = []
    try:
        done = jobs.answer(
            bridge, case, own=_text(said["text"]), language=_spoken(bridge, said["language"]),
            changes=dict(_pairs(said["changes"])), keep=lambda files: _write(out, files, written),
        )  # fmt: skip
    except BaseException as error:
        for name in written:  # the answer of a request that is open still
            Path(name).unlink(missing_ok=True)
        if isinstance(error, Sealed):
            fail("what is kept of this person cannot be opened: run consent-bridge verify")
        raise
    if json_:
        data = _as_data(bridge, bridge.store.cases.find(case.id))
        letter = {} if out else {"letter": done.files[jobs.LETTER].decode()}
        show({**data, "platforms": list(done.platforms), "files": written, **letter})
    elif out:
        click.echo("Closed. Written: " + ", ".join(written))
    else:
        click.echo(done.files[jobs.LETTER].decode())


@rights.command()
@click.argument("id")
@click.option("--reason", required=True, help="Why it takes longer: a sentence that she is told.")
@_LANGUAGE
@staff_act("rights extend", told=True)
@env_file
@errors_in_a_line
def extend(id: str, reason: str, language: str | None) -> None:  # noqa: A002  (as above)
    """Two months more, once, within the first month (GDPR 12(3)). Prints the letter that tells her why: send it now.

    \b
    Example: consent-bridge rights extend 5hX0c1Yb2kQ8r9tUvWxYzA --reason "We must ask three more departments."
    """
    bridge, case = _case(id)
    later, letter = jobs.extend(bridge, case, reason, _spoken(bridge, language))
    click.echo(letter)
    click.echo(f"To be answered by {later.due} now. This letter must reach her before {case.due} is over.", err=True)


@rights.command()
@click.argument("id")
@click.option("--reason", required=True, help="Why it is not done: a sentence that she is told.")
@_LANGUAGE
@staff_act("rights refuse", told=True)
@env_file
@errors_in_a_line
def refuse(id: str, reason: str, language: str | None) -> None:  # noqa: A002  (as above)
    """Do not do what is asked, and say why. Prints the letter, which also says where she can complain (GDPR 12(4)).

    A no to mail is never refused.

    \b
    Example: consent-bridge rights refuse 5hX0c1Yb2kQ8r9tUvWxYzA --reason "You told us that you did not ask this."
    """
    bridge, case = _case(id)
    click.echo(jobs.refuse(bridge, case, reason, _spoken(bridge, language)))


@rights.command()
@click.argument("id")
@click.option("--reason", required=True, help="Why her data is used again: a sentence that she is told.")
@click.option("--yes", is_flag=True, help="She was told: lift it now.")
@_LANGUAGE
@staff_act("rights lift", told=True)
@env_file
@errors_in_a_line
def lift(id: str, reason: str, yes: bool, language: str | None) -> None:  # noqa: A002  (as above)
    """End the restriction that a request brought. Without --yes only the letter is printed: she is told first (18(3)).

    \b
    Example: consent-bridge rights lift 5hX0c1Yb2kQ8r9tUvWxYzA --reason "What was in dispute is settled."
    """
    bridge, case = _case(id)
    click.echo(jobs.lift(bridge, case, reason, _spoken(bridge, language), carry_out=yes))
    if not yes:
        click.echo("Nothing was lifted yet: send her this letter, then say --yes.", err=True)


# -- inside -----------------------------------------------------------------------------------------------------


def _case(id_: str) -> tuple[Bridge, Case]:
    bridge = make_bridge()
    return bridge, bridge.store.cases.find(id_)


def _spoken(bridge: Bridge, language: str | None) -> str:
    if language and language not in bridge.policy.languages:
        fail(f"no language {language!r} in the policy; there are: {', '.join(bridge.policy.languages)}")
    return language or ""


def _text(given: str, source: TextIO | None = None) -> str:
    return (source or sys.stdin).read().strip() if given == "-" else given.strip()


def _pairs(changes: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals:
            raise BadInput("--set wants NAME=VALUE, such as --set language=en")
        yield name.strip(), value.strip()


def _room(out: Path) -> None:
    """Before anything is carried out: what is there is never overwritten."""
    for name in (jobs.LETTER, *NAMES):
        if os.path.lexists(out / name):
            fail(f"{out / name} is there already and is never overwritten; choose another folder with --out")
    out.mkdir(parents=True, exist_ok=True)


def _write(out: Path | None, files: Mapping[str, bytes], written: list[str]) -> None:
    if out is None:
        return
    for name, content in files.items():
        written.append(str(out / name))
        try:
            write_private(out / name, content.decode())
        except FileExistsError:  # somebody else's
            written.pop()
            raise


def _whose(case: Case) -> str:
    """Whether it is known to be hers."""
    if case.how is Proof.DENIED:
        return "not hers"
    return "hers" if case.verified else "asked" if case.asked else ""


def _next(bridge: Bridge, case: Case) -> Iterator[str]:
    """What is to be done with a request now."""
    if case.closed:
        return
    if case.kind in jobs.NEEDS_PROOF and case.verified is None and not case.dark:
        if case.how is Proof.DENIED:
            yield f"She says that she did not ask this. Next: consent-bridge rights refuse {case.id} --reason …"
            return
        told = bridge.store.cases.told(case)
        here = told is not None and bridge.store.cases.person(told) is not None
        if here:
            yield f"Is it she? Next: consent-bridge rights verify {case.id}"
        else:
            yield "Nobody of that address is here. Did the request come from its mailbox? Then say so:"
            yield f"  consent-bridge rights verify {case.id} --own-mailbox"
        return
    yield f"Next: consent-bridge rights answer {case.id}"


def _as_data(bridge: Bridge, case: Case) -> dict[str, Any]:
    pressing = jobs.pressing(bridge, case)
    moments = {name: getattr(case, name) for name in ("asked", "verified", "acted", "extended", "closed")}
    return {
        "id": case.id,
        "kind": case.kind.value,
        "state": case.state,
        "received": case.received.isoformat(),
        "due": case.due.isoformat(),
        "alert": pressing.value if pressing else None,
        "opened": rfc3339(case.opened),
        "opened_by": case.opened_by,
        **{name: rfc3339(moment) if moment else None for name, moment in moments.items()},
        "how": case.how.value if case.how else None,
        "closed_by": case.closed_by,
        "erased": case.dark,
    }
