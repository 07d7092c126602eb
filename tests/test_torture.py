"""Killed again and again, and everything that was promised is true afterwards: decisions 16, 20 to 25; CON-01, WDR-04.

The small run of `make torture`: real processes, SIGKILL, a full disk, a locked database, a clock that is set back, ESPs
that hang or break off, on both databases; some of it in each run, all of it in the long one.
"""

import pytest

from tests.torture.__main__ import line, main
from tests.torture.play import play
from tests.torture.town import Broken, Figures

KILLS = 20


@pytest.mark.parametrize(("database", "seed"), [("sqlite", 11), ("postgresql", 12)])
def test_nothing_is_lost_and_nothing_doubled_by_kills(database: str, seed: int) -> None:
    """CON-01, WDR-04, ESP-03, MIN-03: no accepted act lost or doubled, mails by decision 25, ESPs equal the store."""
    figures = play(seed, database, KILLS)
    assert sum(figures.kills.values()) >= KILLS
    assert figures.acted() > 0


def test_a_seed_that_broke_something_is_named_with_its_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever sees a red run can play it again."""

    def breaks(seed: int, database: str, kills: int) -> Figures:
        if database == "postgresql":
            raise Broken("an accepted stop is not there")
        return Figures()

    monkeypatch.setattr("tests.torture.__main__.play", breaks)
    assert main(["--seed", "7", "--kills", "30"]) == 1
    told = capsys.readouterr()
    assert told.out.startswith("sqlite, seed 7: 0 kills")
    assert "an accepted stop is not there" in told.err
    assert "make torture SEED=7 KILLS=30 DATABASE=postgresql" in told.err


def test_the_figures_of_a_run_stand_in_one_line() -> None:
    """What is copied into a report."""
    figures = Figures(tries=12, retries=2, repeated=1)
    figures.kills.update({"web at a step": 3, "sandbox from outside": 1})
    figures.faults.update({"database locked": 1})
    figures.acts.update({"stop": 10})
    figures.errands.update({"take in": 1, "language": 2})
    figures.crowded = 150
    figures.jobs.update({"mailchimp": 4})
    figures.largest["mailchimp"] = 60
    figures.in_jobs.update({"stop": 3, "erasure": 1})
    assert line(7, "sqlite", figures, 61.4) == (
        "sqlite, seed 7: 4 kills (sandbox from outside 1, web at a step 3); faults: database locked 1; "
        "3 times many at once, 150 people (jobs: mailchimp 4, the largest of 60; "
        "of people in open ones: erasure 1, stop 3); "
        "10 acts in 12 tries (2 again), 0 stops parked, 1 mails that came again; 61 s"
    )
