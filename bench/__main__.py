"""`python -m bench`: what the bridge costs, beside the smallest honest program that does the same, in the same run."""

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import click
import msgspec

from bench import clients, cold, figures, growing, lists, machine, pages, places, push, reconcile, room, webhooks
from bench.run import FULL, SMALL, TINY, Run

SECTIONS: dict[str, Callable[[Run], list[figures.Row]]] = {
    "pages": pages.pages,
    "clients": clients.clients,
    "push": push.push,
    "reconcile": reconcile.reconcile,
    "import": lists.lists,
    "bytes": room.room,
    "webhooks": webhooks.webhooks,
    "growing": growing.growing,
    "cold": cold.cold,
}
SIZES = {"tiny": TINY, "small": SMALL, "full": FULL}
DATABASES = ("sqlite", "postgresql")


def _some(_context: click.Context, option: click.Parameter, value: str) -> list[str]:
    known = SECTIONS if option.name == "only" else DATABASES
    wanted = [word.strip() for word in value.split(",") if word.strip()] or list(known)
    if unknown := set(wanted) - set(known):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: choose among {', '.join(known)}")
    return wanted


@click.command()
@click.option("--full", "size", flag_value="full", help="The million: 10,000 and 1,000,000 people.")
@click.option("--tiny", "size", flag_value="tiny", hidden=True, help="Only to see that it runs.")
@click.option("--small", "size", flag_value="small", default="small", help="The small run, some minutes (default).")
@click.option("--only", callback=_some, default="", help=f"Some sections: {','.join(SECTIONS)}.")
@click.option("--databases", callback=_some, default="", help=f"Some databases: {','.join(DATABASES)}.")
@click.option("--rounds", type=click.IntRange(1), help="Rounds of each side instead of the size's own.")
@click.option("--pushes", type=click.IntRange(1), help="People told to both ESPs, instead of the size's own.")
@click.option("--people", type=click.IntRange(100), help="People of growing, instead of the size's own.")
@click.option("--connections", type=click.IntRange(1, 64), default=8, show_default=True, help="For pages.")
@click.option("--folder", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Where SQLite files go.")
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
@click.option("--readme", is_flag=True, help="Put the table between README's markers.")
@click.option("--verbose", is_flag=True, help="Bytes of each table and index too (always with --full).")
def main(
    size: str,
    only: Sequence[str],
    databases: Sequence[str],
    *,
    rounds: int | None,
    pushes: int | None,
    people: int | None,
    connections: int,
    folder: Path | None,
    json_: bool,
    readme: bool,
    verbose: bool,
) -> None:
    """Measure and print a table. A goal that is missed is no error of the run.

    \b
    Example: python -m bench --only pages,clients --databases sqlite
    """
    started, wanted = time.monotonic(), SIZES[size]
    if rounds:
        wanted = msgspec.structs.replace(wanted, rounds=rounds)
    if pushes:
        wanted = msgspec.structs.replace(wanted, pushes=pushes)
    if people:
        wanted = msgspec.structs.replace(wanted, growing=people)
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cb-bench-", dir=folder)))
        where: list[places.Place] = [places.Sqlite(home)] if "sqlite" in databases else []
        if "postgresql" in databases:
            where.append(stack.enter_context(places.postgres()))
        run = Run(wanted, home, where, verbose=verbose or size == "full", connections=connections)
        stack.callback(run.close)
        rows = []
        for name in only:
            machine.say(f"-- {name}")
            measured = SECTIONS[name](run)
            for one in measured:  # a run of an hour that is cut short has told what it knew
                machine.say(figures.line(one))
            rows += measured
        told = figures.report(
            rows,
            [place.version() for place in where if place.version()],
            people=(wanted.small, wanted.large),
            how=_how(wanted.rounds, connections),
            seconds=time.monotonic() - started,
        )
    if readme:
        figures.to_readme(told)
    click.echo(msgspec.json.format(msgspec.json.encode(told)).decode() if json_ else figures.markdown(told))


def _how(rounds: int, connections: int) -> str:
    apart = "server on one core, requests from another" if machine.can_pin() else "cores not kept apart: read with care"
    return (
        f"{apart}; {rounds} rounds of each side in turn (ABAB): CPU and rate of the round with the least CPU, "
        f"p50 and p99 the median of rounds; pages over {connections} connections. Floor: Flask, Jinja, itsdangerous "
        "and SQLAlchemy Core on the same server and database settings, no rules, proof or sealing (`bench/floor.py`)."
    )


if __name__ == "__main__":
    main(prog_name="python -m bench")
