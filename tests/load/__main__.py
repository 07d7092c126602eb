"""`python -m tests.load`: run, print a short table; what did not hold is named, and its files are kept."""

import argparse
import secrets
import signal
import sys

from tests.load.figures import table
from tests.load.run import play
from tests.torture.town import Broken

DATABASES = ("postgresql", "sqlite")


def main(arguments: list[str] | None = None) -> int:
    """Run; 0 when everything held, 1 when not."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.load",
        description="Many readers at once, platforms that fail and hang, processes killed at random; then a close look.",
        epilog="Example: python -m tests.load --seconds 30 --database sqlite --seed 7",
    )
    parser.add_argument("--seed", type=int, default=None, help="what is drawn by chance; drawn itself when left out")
    parser.add_argument("--seconds", type=float, default=120, help="how long readers act on each database")
    parser.add_argument("--database", choices=[*DATABASES, "both"], default="both")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to end: everything that was started ends too
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    for database in DATABASES if options.database == "both" else [options.database]:
        try:
            told = play(seed, database, options.seconds)
        except Broken as error:
            print(f"{database}, seed {seed}: broken\n{error}", file=sys.stderr)
            again = f"make load SEED={seed} SECONDS={options.seconds:g} DATABASE={database}"
            print(f"again with: {again}", file=sys.stderr)
            return 1
        print(f"{table(told)}\n  seed {seed}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
