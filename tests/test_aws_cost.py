"""What AWS bills, on paper: README's table is what the script reckons from prices and readers (issue 7, point 8)."""

import copy
import runpy
from pathlib import Path
from typing import Any

import pytest

from bridge.handlers.figures import FIGURES

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "aws_cost.py"))


def sums(told: dict[str, Any]) -> tuple[float, float]:
    """Dollars a month: whatever the size, and for each million readers."""
    found = SCRIPT["items"](told)
    return sum(item.fixed for item in found), sum(item.million for item in found)


def test_readme_shows_what_the_script_prints() -> None:
    """Changed prices are in README, or the build fails."""
    shown = (ROOT / "README.md").read_text(encoding="utf-8")
    assert SCRIPT["table"](SCRIPT["read"]()) in shown, "run: python scripts/aws_cost.py, and put its table into README"


@pytest.mark.parametrize("price", [name for name in SCRIPT["read"]()["prices"] if name != "date"])
def test_every_price_is_in_the_sum(price: str) -> None:
    """No input stands there for show: twice the price costs more, and no price costs something below nothing."""
    told = SCRIPT["read"]()
    dearer = copy.deepcopy(told)
    dearer["prices"][price] *= 2
    assert sum(sums(dearer)) > sum(sums(told))


@pytest.mark.parametrize("habit", list(SCRIPT["read"]()["reader"]))
def test_readers_who_do_twice_as_much_cost_more_and_leave_the_fixed_part(habit: str) -> None:
    """What depends on readers is told by the million."""
    told = SCRIPT["read"]()
    busier = copy.deepcopy(told)
    busier["reader"][habit] *= 2
    assert sums(busier)[0] == sums(told)[0]
    assert sums(busier)[1] > sums(told)[1]


def test_alarms_and_figures_are_as_many_as_there_are() -> None:
    """A figure of one's own costs three times an alarm; an alarm is billed by the figures that it reads."""
    house, alarms = SCRIPT["read"]()["house"], (ROOT / "aws" / "alarms.yml").read_text(encoding="utf-8")
    assert house["alarms"] == alarms.count(" MetricName: ")
    assert house["figures"] == len(FIGURES)
