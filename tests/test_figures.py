"""What alarms on AWS read: how late work is, how late stops are, how many complain (issue 7, points 1 and 9).

Rows WDR-11, SND-04, MIN-03.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.handlers.figures import FIGURES, figures, tell
from bridge.vocabulary import EventType
from tests.conftest import House, Reader


def test_a_calm_house_has_nothing_to_tell(house: House) -> None:
    """All zero."""
    assert figures(house.bridge) == dict.fromkeys(FIGURES, 0.0)


def test_work_that_nobody_does_grows_old(house: House) -> None:
    """From when it is due; what waits for its time is not late."""
    Reader(house, "an@lezer.example").signs_up()
    house.clock.forward(minutes=11)
    assert figures(house.bridge)["OverdueSeconds"] == 660
    house.dispatch()
    assert figures(house.bridge)["OverdueSeconds"] == 0


@pytest.mark.parametrize(("hours", "late", "broken"), [(0.5, 0, 0), (1.5, 1, 0), (49, 1, 1)])
def test_a_stop_that_a_platform_does_not_confirm(house: House, hours: float, late: int, broken: int) -> None:
    """WDR-11: an hour, and 48."""
    an = Reader(house, "an@lezer.example").has_consented()
    house.esp.down = True
    an.one_click()
    house.clock.forward(hours=hours)
    found = figures(house.bridge)
    assert (found["StopsLate"], found["StopsBroken"]) == (late, broken)
    assert found["StopsOldestSeconds"] == hours * 3600


def test_complaints_are_told_as_the_highest_share(
    make_house: Callable[..., House], database_url: str, policy_folder: Path
) -> None:
    """SND-04: of the purpose with the most, from as many as the policy counts from."""
    file = policy_folder / "policy.toml"
    file.write_text(file.read_text().replace("complaint_least = 1000", "complaint_least = 1"))
    house = make_house(database_url)
    readers = [Reader(house, f"lezer{number}@krant.example").has_consented() for number in range(4)]
    house.hear(readers[0].told_by_esp(EventType.COMPLAINED))
    assert figures(house.bridge)["ComplaintPercent"] == 25.0


def test_they_are_one_line_of_counts(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    """CloudWatch's embedded metric format: every figure named with its unit, and there; no text of anybody's."""
    Reader(house, "an@lezer.example").signs_up()
    capsys.readouterr()
    tell(house.bridge)
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    (about,) = told["_aws"]["CloudWatchMetrics"]
    assert {metric["Name"]: metric["Unit"] for metric in about["Metrics"]} == FIGURES
    assert about["Dimensions"] == [["FunctionName"]]
    assert all(isinstance(told[name], float | int) for name in FIGURES)
    assert "lezer" not in line
