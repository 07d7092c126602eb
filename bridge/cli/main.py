"""The command `consent-bridge`."""

import logging
import os
import shutil
import signal
import subprocess
import threading
from datetime import datetime
from pathlib import Path

import click

from bridge.cli.approve import approve
from bridge.cli.audit import audit, clean
from bridge.cli.breach import breach
from bridge.cli.child import child
from bridge.cli.connect import doctor, setup
from bridge.cli.copies import backup, restore
from bridge.cli.erase import erase
from bridge.cli.evidence import evidence
from bridge.cli.export import export
from bridge.cli.keys import RINGS, keys, new_kid
from bridge.cli.lists import import_
from bridge.cli.mail import mail
from bridge.cli.move import move
from bridge.cli.options import (
    Moment,
    address,
    as_json,
    env_file,
    errors_in_a_line,
    fail,
    is_free,
    make_bridge,
    show,
)
from bridge.cli.papers import register, report
from bridge.cli.proof import checkpoint, verify
from bridge.cli.purge import purge
from bridge.cli.reconcile import reconcile
from bridge.cli.repermission import repermission
from bridge.cli.rights import rights
from bridge.cli.snippet import snippet
from bridge.cli.statement import statement
from bridge.cli.texts import texts
from bridge.files import write_private
from bridge.texts import TEMPLATES
from bridge.vault import new_key
from bridge.vocabulary import rfc3339

log = logging.getLogger("bridge.dispatch")

_PORT = click.IntRange(1, 65533)

#: What several processes that serve share; PostgreSQL as it comes allows a hundred, and dispatchers want some.
_CONNECTIONS = 64
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="consent-bridge")
def main() -> None:
    """Consent Bridge: e-mail marketing that is lawful and pleasant, without leaving your mailing platform.

    \b
    Try it:      consent-bridge demo
    Begin:       consent-bridge init my-list && cd my-list && consent-bridge db upgrade && consent-bridge serve
    """


main.add_command(setup)
main.add_command(doctor)
main.add_command(keys)
main.add_command(evidence)
main.add_command(verify)
main.add_command(checkpoint)
main.add_command(child)
main.add_command(erase)
main.add_command(export)
main.add_command(backup)
main.add_command(restore)
main.add_command(reconcile)
main.add_command(mail)
main.add_command(move)
main.add_command(import_)
main.add_command(audit)
main.add_command(clean)
main.add_command(approve)
main.add_command(breach)
main.add_command(register)
main.add_command(report)
main.add_command(snippet)
main.add_command(statement)
main.add_command(texts)
main.add_command(repermission)
main.add_command(rights)
main.add_command(purge)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@errors_in_a_line
def init(folder: Path) -> None:
    """Write a starter policy, its wordings and settings with fresh keys into FOLDER.

    \b
    Example: consent-bridge init my-list
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = [name for name in ("policy.toml", ".env", "notices") if (folder / name).exists()]
    if kept:
        fail(f"{folder / kept[0]} is there already and is never overwritten; choose an empty folder")
    shutil.copy(TEMPLATES / "starter" / "policy.toml", folder / "policy.toml")
    shutil.copytree(TEMPLATES / "starter" / "notices", folder / "notices")
    write_private(folder / ".env", _starter_settings())
    click.echo(f"Written to {folder}: policy.toml and notices/ (yours to fill in), .env (keys; only you can read it).")
    click.echo("BACK UP THESE KEYS (.env), apart from the database: without them no proof opens and no link works.")
    click.echo(f"Next: cd {folder} && consent-bridge db upgrade && consent-bridge serve")


def _starter_settings() -> str:
    rings = "\n".join(f"{name}={new_key(new_kid())}" for name in RINGS)
    return (
        "# Settings of Consent Bridge. Keep this file out of git and back it up: it holds the keys.\n"
        "BRIDGE_POLICY=policy.toml\n"
        "BRIDGE_DATABASE_URL=sqlite:///consent.db\n"
        "# Where readers reach the pages; https for everybody but yourself.\n"
        "BRIDGE_BASE_URL=http://127.0.0.1:8080\n"
        "# Your mail server: smtp://user:password@host:587, smtps://..., or sandbox: for trying out.\n"
        "BRIDGE_MAIL_URL=sandbox:\n"
        "# Mailing platforms to keep equal, such as: mailchimp,sendgrid (then their keys, see README).\n"
        "BRIDGE_ADAPTERS=\n"
        "# Newest key first; never drop an old one while the database names it.\n"
        f"{rings}\n"
    )


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True, type=_PORT)
@click.option("--no-dispatch", is_flag=True, help="Pages only: run `consent-bridge dispatch` beside it.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 32), help="Processes; PostgreSQL only.")
@env_file
@errors_in_a_line
def serve(host: str, port: int, no_dispatch: bool, workers: int) -> None:
    """Serve the pages and webhooks, with the dispatcher inside.

    \b
    Example: consent-bridge serve --host 0.0.0.0 --port 8080
             consent-bridge serve --workers 4 --no-dispatch
    """
    bridge = make_bridge()
    bridge.database.engine.dispose()
    if workers > 1 and bridge.database.dialect == "sqlite":
        fail("SQLite has one writer, so one process serves: leave --workers out, or move to PostgreSQL")
    if not is_free(port, host):
        fail(f"port {port} is taken: end what uses it, or choose another with --port")
    from granian import Granian
    from granian.constants import Interfaces
    from granian.log import LogLevels

    from bridge.bootstrap import THREADS

    if no_dispatch:
        os.environ["CONSENT_BRIDGE_NO_DISPATCH"] = "1"
    if workers > 1:
        os.environ["CONSENT_BRIDGE_CONNECTIONS"] = str(max(4, _CONNECTIONS // workers))

    server = Granian(
        "bridge.handlers.server:application",
        factory=True,
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=THREADS,
        backpressure=64,  # more wait in the socket's queue: clicks are short
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        workers_kill_timeout=20,  # its dispatcher may take ten seconds of these
    )
    server.serve()


@main.command()
@click.option("--once", is_flag=True, help="Do what is due now, then end.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 32), help="Threads per lane.")
@env_file
@errors_in_a_line
def dispatch(once: bool, workers: int) -> None:
    """Send what the outbox promises: mails, and news for each mailing platform. Several may run at once.

    \b
    Example: consent-bridge dispatch --once
    """
    from bridge.jobs.dispatch import Dispatcher

    dispatcher = Dispatcher(make_bridge())
    if once:
        signal.signal(signal.SIGTERM, lambda *_: dispatcher.stop(0))
        click.echo(f"work done: {dispatcher.once()}")
        return
    told = threading.Event()
    for word in (signal.SIGTERM, signal.SIGINT):  # a service manager's word is as good as Ctrl-C
        signal.signal(word, lambda *_: told.set())
    dispatcher.start(workers)
    told.wait()
    if not dispatcher.stop():
        log.warning("ended before all was finished: what was begun is looked at again in a few minutes")


@main.group()
def db() -> None:
    """The database: migrate it, or say whether it is current."""


@db.command()
@env_file
@errors_in_a_line
def upgrade() -> None:
    """Bring the database to this program's schema.

    \b
    Example: consent-bridge db upgrade
    """
    from bridge.store import schema

    bridge = make_bridge(ready=False)
    done = schema.upgrade(bridge.database)
    click.echo("the database is now at schema " + schema.head() if done else "the database was current already")


@db.command()
@env_file
@errors_in_a_line
def check() -> None:
    """Say whether the schema is current.

    \b
    Example: consent-bridge db check
    """
    from bridge.store import schema

    schema.check(make_bridge(ready=False).database)
    click.echo("the database is current: schema " + schema.head())


@main.command("may-mail")
@click.argument("email")
@click.argument("purpose")
@click.option("--at", type=Moment(), help="A past moment, such as 2026-11-23T10:04:57Z (without a zone: UTC).")
@as_json
@env_file
@errors_in_a_line
def may_mail(email: str, purpose: str, at: datetime | None, json_: bool) -> None:
    """May EMAIL be mailed for PURPOSE, and why? Exit 0 for both answers. EMAIL `-` reads standard input.

    With --at the answer is what the store knew then: what was told later does not count. Limits and contracts are
    those of today's policy, applied to that moment.

    \b
    Example: consent-bridge may-mail reader@site.example newsletter
             consent-bridge may-mail reader@site.example newsletter --at 2026-11-23T11:00:00+01:00
    """
    bridge = make_bridge()
    if purpose not in bridge.policy.purposes:
        fail(f"no purpose {purpose!r} in the policy; there are: {', '.join(bridge.policy.purposes)}")
    notes: tuple[str, ...] = ()
    if at is None:
        answer = bridge.store.may_mail(address(email), purpose)
    else:
        answer, notes = bridge.store.past.may_mail(address(email), purpose, at)
    if json_:
        then = {"at": rfc3339(at), "notes": list(notes)} if at else {}
        show({"may": answer.may, "status": answer.status.value, "why": list(answer.why), **then})
        return
    click.echo(("yes" if answer.may else "no") + f" ({answer.status})")
    for why in answer.why:
        click.echo(f"  {why}")
    for note in notes:
        click.echo(f"  note: {note}")


@main.command()
@click.option(
    "--port", default=8100, show_default=True, type=click.IntRange(1, 65534), help="SMTP listens on the next one."
)
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), default=Path("sandbox-data"), show_default=True
)
@errors_in_a_line
def sandbox(port: int, data: Path) -> None:
    """Run only the sandbox: mailing platforms played for real over HTTP, and a mailbox. For developers.

    \b
    Example: consent-bridge sandbox --port 8100
    """
    from bridge.cli.demo import find_sandbox

    data.mkdir(parents=True, exist_ok=True)
    played = find_sandbox()(data, port, "http://127.0.0.1:8080")
    click.echo(f"sandbox: {played.url} (mailbox by SMTP on port {port + 1}); Ctrl-C ends it. Settings to use it:")
    for name, value in played.settings().items():
        click.echo(f"{name}={value}")
    process = subprocess.Popen(played.command())  # noqa: S603  (the sandbox's own command, no shell)
    try:
        process.wait()
    except KeyboardInterrupt:
        process.wait(10)


@main.command()
@click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(1, 65533),
    help="Pages; the sandbox takes the next two.",
)
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Where it keeps its files [demo-data].")
@click.option("--check", is_flag=True, help="Play the whole story without a person; exit 0 only if every step held.")
@errors_in_a_line
def demo(port: int, data: Path | None, check: bool) -> None:
    """Everything embedded: store, pages, dispatcher, mailing platforms and a mailbox. Ctrl-C ends all of it.

    \b
    Example: consent-bridge demo
             consent-bridge demo --check
    """
    from bridge.cli.demo import run

    raise SystemExit(run(port, data, check=check))
