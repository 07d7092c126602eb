"""README is true: every command, setting, address and rule stands in it, and nothing that is not there."""

import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from adapters.mailchimp import Mailchimp
from adapters.sendgrid import SendGrid
from bridge.adapter import Adapter
from bridge.cli import main
from bridge.settings import SETTINGS
from scripts.status_table import table
from tests.conftest import House

HOUSE = Path(__file__).resolve().parent.parent
README = (HOUSE / "README.md").read_text(encoding="utf-8")
PAGES = [HOUSE / "README.md", *sorted((HOUSE / "docs").glob("*.md"))]
PROJECT = tomllib.loads((HOUSE / "pyproject.toml").read_text(encoding="utf-8"))
MAKEFILE = (HOUSE / "Makefile").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text below a heading, to the next one of that kind."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE)
    assert found, f"README has no section {title!r}"
    return found[1]


def rows(title: str) -> dict[str, list[str]]:
    """A section's table: the first cell of each row and the others."""
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section(title).splitlines()
        if line.startswith("|") and not line.startswith("|-")
    ]
    return {row[0]: row[1:] for row in cells[1:]}


def commands(group: click.Command = main, before: str = "consent-bridge") -> Iterator[tuple[str, click.Command]]:
    """Every command with its whole name."""
    assert isinstance(group, click.Group)
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{before} {name}")
        else:
            yield f"{before} {name}", command


def shell() -> str:
    """Everything README says to type."""
    told = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    return "\n".join(
        [*re.findall(r"^```sh\n(.*?)^```", told, re.DOTALL | re.MULTILINE), *re.findall(r"`([^`\n]+)`", told)]
    )


def test_every_command_stands_in_it_with_its_options() -> None:
    """Each command has one row, which names its options and no other."""
    told = [cell.strip("`") for cell in rows("Commands")]
    for name, command in commands():
        (row,) = [cell for cell in told if re.match(rf"{re.escape(name)}( |$)", cell)]
        options = {opt for param in command.params for opt in param.opts if opt.startswith("--")}
        assert set(re.findall(r"--[a-z-]+", row)) == options - {"--env-file"}, name
        arguments = {param.name.upper() for param in command.params if isinstance(param, click.Argument) and param.name}
        assert arguments <= set(re.findall(r"[A-Z]+", row)), name
    assert len(told) == len(list(commands()))


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_every_command_helps_with_an_example(name: str) -> None:
    """`--help` says what it does and shows how."""
    text = dict(commands())[name].help or ""
    assert f"Example: {name}" in text


def test_every_command_it_names_is_there() -> None:
    """What README and its pages say to type can be typed."""
    known = {name for name, _ in commands()}
    groups = {name.rpartition(" ")[0] for name in known if name.count(" ") == 2}
    for line in shell().splitlines():
        words = re.findall(r"consent-bridge(?: [a-z-]+)*", line.split("#")[0].split("[")[0].split(" --")[0])
        for said in words:
            two, three = " ".join(said.split()[:2]), " ".join(said.split()[:3])
            assert said == "consent-bridge" or two in known | groups, line
            assert two not in groups or said == two or three in known, line


def test_every_word_for_make_is_there() -> None:
    """`make X` in README has a rule; each rule that people call stands in README."""
    rules = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    told = set(re.findall(r"\bmake ([a-z-]+)", shell()))
    phony = set(re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[1].split())  # type: ignore[index]
    assert told == phony == rules


def test_every_script_it_names_is_there() -> None:
    """`python scripts/X.py` can be run."""
    told = set(re.findall(r"\bscripts/[a-z_]+\.py", README))
    assert told
    assert [name for name in told if not (HOUSE / name).is_file()] == []


def test_every_setting_stands_in_it_with_its_default() -> None:
    """Each setting of ours has a row with the default the program has."""
    told = {name.strip("`"): cells[-1].strip("`") for name, cells in rows("Settings").items()}
    for name, default in SETTINGS.items():
        assert name in told, name
        expected = (
            "must be set" if default is None else default or ("login name" if name == "BRIDGE_OPERATOR" else "none")
        )
        assert told[name] == expected, name
    read = set()
    for file in (HOUSE / "adapters").glob("*.py"):
        read |= set(re.findall(r"\b(?:MAILCHIMP|MANDRILL|SENDGRID)_[A-Z_]+\b", file.read_text(encoding="utf-8")))
    assert read
    assert set(told) == set(SETTINGS) | read


def test_no_other_setting_is_named() -> None:
    """A setting that README names is one, so that nobody sets something in vain."""
    for page in PAGES:
        named = set(re.findall(r"\bBRIDGE_[A-Z_]+\b", page.read_text(encoding="utf-8")))
        assert {name for name in named if not name.startswith("BRIDGE_TEST_")} <= set(SETTINGS), page.name


def test_every_address_stands_in_it(home: House) -> None:
    """Each route of the application with its methods, and no other."""
    told: dict[str, set[str]] = {}
    for cell, others in rows("Addresses").items():
        methods = set(re.findall(r"\b(?:GET|POST)\b", others[0]))
        told |= dict.fromkeys(re.findall(r"`([^`]+)`", cell), methods)
    there: dict[str, set[str]] = {}
    for rule in home.app.url_map.iter_rules():
        there.setdefault(rule.rule, set()).update((rule.methods or set()) & {"GET", "POST"})
    assert told == there


def test_the_table_of_statuses_is_the_programs_own() -> None:
    """How consent is decided: README shows what `scripts/status_table.py` prints from the rules."""
    shown = re.search(r"<!-- status table: begin -->\n(.*?)\n<!-- status table: end -->", README, re.DOTALL)
    assert shown
    assert shown[1] == table()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_picture_is_there(page: Path) -> None:
    """Relative links lead somewhere, headings included; pictures have words and are small."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    anchors = {
        re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    links = re.findall(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", text)
    for picture, words, target in links:
        if target.startswith("#"):
            assert target[1:] in anchors, target
            continue
        path = page.parent / target.partition("#")[0]
        assert path.is_file(), target
        if picture:
            assert words
            assert path.stat().st_size < 150_000, f"{target} is too large"
    if page.name == "README.md":
        assert any(picture for picture, _, _ in links)
        assert set((HOUSE / "docs" / "images").iterdir()) == {HOUSE / target for picture, _, target in links if picture}


def test_every_dependency_has_its_reason() -> None:
    """Each package we install stands in README with one line, and no other."""
    wanted = {re.match(r"[A-Za-z0-9-]+", line)[0] for line in PROJECT["project"]["dependencies"]}  # type: ignore[index]
    told = rows("Dependencies")
    assert set(told) == wanted
    assert all(cells[0] for cells in told.values())


@pytest.mark.parametrize(("title", "adapter"), [("Connect Mailchimp", Mailchimp), ("Connect SendGrid", SendGrid)])
def test_the_places_of_a_purpose_are_those_the_adapter_reads(title: str, adapter: type[Adapter]) -> None:
    """The policy block shown for a platform has all its keys."""
    block = re.search(r"```toml\n(.*?)```", section(title), re.DOTALL)
    assert block
    places = tomllib.loads(block[1])["purposes"]["at"][adapter.name]
    assert set(places) == adapter.needs_places | adapter.may_places


def test_the_house_is_as_it_is_drawn() -> None:
    """Every room of the tree exists, every room that exists is in the tree, and the floors are the linter's."""
    tree, floors = re.findall(r"```text\n(.*?)```", section("The house"), re.DOTALL)
    drawn = set(re.findall(r"\b([a-z_]+(?:\.py|/))", tree))
    rooms = {path.name for path in (HOUSE / "bridge").glob("*.py")} | {
        f"{path.name}/" for path in (HOUSE / "bridge").iterdir() if path.is_dir() and path.name != "__pycache__"
    }
    assert rooms - {"__init__.py"} <= drawn
    missing = [
        name
        for name in drawn
        if not any((HOUSE / top / name).exists() for top in ("", "bridge", "adapters", "templates"))
    ]
    assert missing == []
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    (layers,) = [one["layers"] for one in contracts if one["type"] == "layers" and "containers" not in one]
    shown = [line.split()[1:] for line in floors.strip().splitlines()]
    assert shown == [layer.replace("bridge.", "").replace("|", " ").split() for layer in layers]


def test_it_opens_with_what_it_does() -> None:
    """What it is, one picture and the two commands come before everything else; no path of anybody's machine."""
    opening = README[: README.index("## ")]
    picture, demo, tests = opening.index("]("), opening.index("make demo"), opening.index("make test")
    assert picture < demo < tests
    for page in PAGES:
        assert not re.search(r"(?<![\w.])/(?:home|root|work|Users|tmp)/", page.read_text(encoding="utf-8"))


def test_the_policy_that_it_begins_with_is_the_starter(make_house: Callable[..., House], sqlite_url: str) -> None:
    """The starter's policy, which README tells to fill in, is taken as it is."""
    home = make_house(
        sqlite_url, BRIDGE_POLICY=str(HOUSE / "templates" / "starter" / "policy.toml"), BRIDGE_ADAPTERS=""
    )
    assert home.client.get("/subscribe").status_code == 200
