"""The runbook is true: each trouble is made, its commands are typed as they stand there, and it is over as it says.

Issue 7, point 9. A database that is away under running pages is played in `test_plain_server.py`.
"""

import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bridge.cli import main
from bridge.vault import new_key
from bridge.vocabulary import Status
from tests.conftest import House, Reader
from tests.csv_lists import Lists
from tests.programs import ROOT
from tests.test_commands import own_environment  # noqa: F401  (a folder and an environment of each test's own)

PAGE = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
TITLES = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)


def lines(title: str) -> list[str]:
    """What is to be typed in one trouble, in its order."""
    (text,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    return [
        line
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    ]


@pytest.fixture
def shop(home: House) -> House:
    """A house whose clock is near the real one, which commands read."""
    home.clock.now = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    return home


def types(house: House, line: str, code: int = 0, **settings: str) -> Result:
    """One line of the page, in that house's environment."""
    words = shlex.split(line)
    assert words[0] == "consent-bridge"
    result = CliRunner().invoke(
        main, words[1:], env={**house.environment, "BRIDGE_OPERATOR": "carla", **settings}, input="y\n"
    )
    assert result.exit_code == code, result.output
    return result


def test_each_trouble_says_what_goes_on_by_itself_and_when_it_is_over() -> None:
    """All five of the issue, each with its commands; the first table names every one."""
    assert TITLES == ["A platform is away", "The database is away", "A key leaked", "A wrong import", "Restore"]
    for title in TITLES:
        text = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
        assert "**Over** when" in text, title
        assert "**By itself**" in text or title == "A key leaked", title
        assert f"[{title}](#{title.lower().replace(' ', '-')})" in PAGE
        assert lines(title)


def test_a_platform_is_away(shop: House) -> None:
    """WDR-11: `doctor` is red while a stop waits; when the platform is back it is told, and both are compared."""
    an = Reader(shop, "an@lezer.example").has_consented()
    shop.esp.down = True
    an.one_click()
    shop.dispatch()
    doctor, dispatch, dry, reconcile = lines("A platform is away")
    told = types(shop, doctor, 1).stdout
    assert re.search(r"^FIX .*memory", told, re.MULTILINE)
    shop.esp.down = False
    types(shop, dispatch)
    assert not an.is_on()
    assert (
        "0 differences" in types(shop, dry).output or not json.loads(types(shop, f"{dry} --json").stdout)["differences"]
    )
    types(shop, reconcile)


def test_the_database_is_away(shop: House) -> None:
    """`db check` says what is wrong, and `verify` that nothing is when it is back."""
    check, _, verify = lines("The database is away")
    away = types(shop, check, 1, BRIDGE_DATABASE_URL="postgresql+psycopg://nobody@127.0.0.1:9/nothing")
    assert "the store is away" in away.stderr
    types(shop, check)
    types(shop, verify)


def test_a_key_leaked(shop: House) -> None:
    """KEY-02: a new key of each ring is begun, old links go on working, and a breach is written down."""
    an = Reader(shop, "an@lezer.example").has_consented()
    stop = an.link("/u/")
    settings = {**shop.environment, "BRIDGE_SEAL_KEYS": new_key("seal1")}
    Path(".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    listed, *rotations, opened = lines("A key leaked")
    alone = dict.fromkeys(settings)

    def typed(line: str) -> Result:
        result = CliRunner().invoke(main, shlex.split(line)[1:], env={**alone, "BRIDGE_OPERATOR": "carla"})
        assert result.exit_code == 0, result.output
        return result

    typed(listed)
    for line in rotations:
        ring = shlex.split(line)[3]
        assert "every process anew" in typed(line).stdout
        now = dict(one.split("=", 1) for one in Path(".env").read_text().splitlines())[f"BRIDGE_{ring.upper()}_KEYS"]
        assert len(now.split(",")) == 2, ring
    typed(opened)
    assert len(json.loads(typed("consent-bridge breach list --json").stdout)) == 1
    assert shop.client.post(stop, data={"List-Unsubscribe": "One-Click"}).status_code == 200


def test_a_wrong_import(shop: House) -> None:
    """MIG-03: what was taken in stands in the log; said to be unproven, nobody of it may be mailed, here or there."""
    people = [Reader(shop, f"lezer{number}@krant.example") for number in range(3)]
    Lists(shop, Path.cwd()).write(*({"email": one.email, "purpose": "newsletter"} for one in people), name="wrong.csv")
    types(shop, "consent-bridge import wrong.csv --channel footer --purpose newsletter")
    types(shop, "consent-bridge dispatch --once")
    assert all(one.may().may and one.is_on() for one in people)

    staff, audit, dry, invalidate, dispatch, again, reconcile = lines("A wrong import")
    today = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    assert "import (channel footer, imported 3" in types(shop, re.sub(r"\d{4}-\d\d-\d\d", today, staff)).stdout
    assert json.loads(types(shop, f"{audit} --json").stdout)["grades"]["proven"] == 3
    types(shop, dry)
    assert all(one.may().may for one in people)
    types(shop, invalidate)
    types(shop, dispatch)
    assert [one.status() for one in people] == [Status.INVALIDATED] * 3
    assert not any(one.is_on() for one in people)
    assert json.loads(types(shop, f"{again} --json").stdout)["grades"] == {
        "proven": 0, "soft_proven": 0, "incomplete": 0, "none": 0, "stopped": 3,
    }  # fmt: skip
    assert json.loads(types(shop, f"{reconcile} --json").stdout)["differences"] == []
    people[0].signs_up("newsletter")
    people[0].confirms()
    assert people[0].may().may, "her own confirmed sign-up brings her back"


def test_restore(shop: House, tmp_path: Path) -> None:
    """SUP-04, decision 19: an older copy with the newest keys; a stop of between stands."""
    an = Reader(shop, "an@lezer.example").has_consented()
    restore, verify, dispatch, reconcile = lines("Restore")
    words = shlex.split(restore)
    file, keys = words[2], words[words.index("--keys") + 1]
    Path("backups").mkdir()
    types(shop, f"consent-bridge backup {file}")
    an.one_click()
    types(shop, f"consent-bridge backup {keys.removesuffix('.keys')}")
    new = {"BRIDGE_DATABASE_URL": f"sqlite:///{tmp_path / 'new.db'}"}
    types(shop, restore, **new)
    for line in (verify, dispatch, reconcile):
        types(shop, line, **new)
    told = json.loads(types(shop, "consent-bridge may-mail an@lezer.example newsletter --json", **new).stdout)
    assert told["may"] is False
    assert not an.is_on()
