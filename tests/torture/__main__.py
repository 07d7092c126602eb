"""`python -m tests.torture`: play a seed, say what came of it; a seed that broke something is named with its command."""

import argparse
import secrets
import sys
import time
from collections import Counter

from tests.torture.play import play
from tests.torture.town import Broken, Figures

DATABASES = ("sqlite", "postgresql")


def main(arguments: list[str] | None = None) -> int:
    """Play; 0 when everything held, 1 when not."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.torture",
        description="Kill web, dispatchers and sandbox again and again while readers act; then look at everything.",
        epilog="Example: python -m tests.torture --kills 200 --database sqlite --seed 7",
    )
    parser.add_argument("--seed", type=int, default=None, help="what decides everything it can; drawn when left out")
    parser.add_argument("--kills", type=int, default=2000, help="how many kills on each database")
    parser.add_argument("--database", choices=[*DATABASES, "both"], default="both")
    options = parser.parse_args(arguments)
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    for database in DATABASES if options.database == "both" else [options.database]:
        started = time.monotonic()
        try:
            figures = play(seed, database, options.kills)
        except Broken as error:
            print(f"{database}, seed {seed}: broken\n{error}", file=sys.stderr)
            again = f"make torture SEED={seed} KILLS={options.kills} DATABASE={database}"
            print(f"again with: {again}", file=sys.stderr)
            return 1
        print(line(seed, database, figures, time.monotonic() - started), flush=True)
    return 0


def line(seed: int, database: str, figures: Figures, seconds: float) -> str:
    """What is told at the end of one run."""
    kills = ", ".join(f"{name} {number}" for name, number in _in_order(figures.kills))
    faults = ", ".join(f"{name} {number}" for name, number in _in_order(figures.faults))
    jobs = ", ".join(
        f"{name} {number}, the largest of {figures.largest[name]}" for name, number in _in_order(figures.jobs)
    )
    inside = ", ".join(f"{name} {number}" for name, number in _in_order(figures.in_jobs))
    return (
        f"{database}, seed {seed}: {sum(figures.kills.values())} kills ({kills}); faults: {faults or 'none'}; "
        f"{sum(figures.errands.values())} times many at once, {figures.crowded} people (jobs: {jobs or 'none'}; "
        f"of people in open ones: {inside or 'none'}); "
        f"{figures.acted()} acts in {figures.tries} tries ({figures.retries} again), "
        f"{figures.parked} stops parked, {figures.repeated} mails that came again; "
        f"{seconds:.0f} s"
    )


def _in_order(counted: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counted.items())


if __name__ == "__main__":
    raise SystemExit(main())
