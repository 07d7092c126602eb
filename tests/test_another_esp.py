"""README's page "Another ESP": its file and its line, taken from the page, make a third mailing platform work."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

import adapters
from bridge.adapter import Misconfigured, find
from bridge.vocabulary import EventType, Incoming, rfc3339
from tests.conftest import House, Reader

PAGE = Path(__file__).resolve().parent.parent / "docs" / "another-esp.md"
SECRET = "a-long-secret-in-the-address"
AN = "an.vandenberg@lezer.example"


def snippets(kind: str) -> list[str]:
    """The page's blocks of that kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.fixture
def pigeon_file(tmp_path: Path) -> Path:
    """The page's file, where the page says it goes."""
    (file,) = snippets("python")
    path = tmp_path / "site" / "adapters" / "pigeon.py"
    path.parent.mkdir(parents=True)
    path.write_text(file, encoding="utf-8")
    return path


@pytest.fixture
def installed(pigeon_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's line and file, installed as a package would be."""
    line, _policy = map(tomllib.loads, snippets("toml"))
    ((group, entries),) = line["project"]["entry-points"].items()
    site = pigeon_file.parent.parent
    info = site / "pigeon_post-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pigeon-post\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items()))
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(adapters, "__path__", [*adapters.__path__, str(pigeon_file.parent)])
    monkeypatch.setitem(sys.modules, "adapters.pigeon", None)  # put back as it was (absent) afterwards
    del sys.modules["adapters.pigeon"]


class Pigeon:
    """The platform itself, as its adapter meets it: contacts by address."""

    def __init__(self, server: HTTPServer) -> None:
        self.people: dict[str, dict[str, Any]] = {}
        self.keys: set[str] = set()
        server.expect_request(re.compile("/contacts.*")).respond_with_handler(self._answer)

    def _answer(self, request: Request) -> Response:
        self.keys.add(request.headers["Authorization"])
        if request.method == "PUT":
            words = [self._put(one) for one in request.get_json()]
            return Response(json.dumps(words), 200)
        if request.method == "DELETE":
            return Response(status=204 if self.people.pop(request.path.rpartition("/")[2], None) else 404)
        return Response(json.dumps(list(self.people.values()) if request.args["page"] == "1" else []), 200)

    def _put(self, one: dict[str, Any]) -> str:
        if one["create"] or one["email"] in self.people:
            self.people[one["email"]] = one
        return "ok"


@pytest.fixture
def pigeon(httpserver: HTTPServer) -> Pigeon:
    """Pigeon on a port of this machine."""
    return Pigeon(httpserver)


@pytest.fixture
def at_pigeon(
    installed: None, pigeon: Pigeon, httpserver: HTTPServer, make_house: Callable[..., House],
    policy_folder: Path, sqlite_url: str,
) -> Reader:  # fmt: skip
    """An, in a house whose only mailing platform is Pigeon, with the page's own blocks in the policy."""
    _line, block = snippets("toml")
    policy = policy_folder / "policy.toml"
    text = policy.read_text(encoding="utf-8").replace("at.memory", "at.pigeon")
    text = text.replace('list = "newsletter"', 'list = "7"').replace('list = "offers"', 'list = "8"')
    processor = block[block.index("[[processors]]") :]
    text, count = re.subn(r"\[\[processors\]\].*?(?=\n\[|\Z)", lambda _: processor, text, count=1, flags=re.DOTALL)
    assert count == 1
    policy.write_text(text, encoding="utf-8")
    house = make_house(
        sqlite_url,
        BRIDGE_ADAPTERS="pigeon",
        PIGEON_API_KEY="key",
        PIGEON_BASE_URL=httpserver.url_for("").rstrip("/"),
        PIGEON_WEBHOOK_SECRET=SECRET,
    )
    return Reader(house, AN)


def news(reader: Reader, **changes: Any) -> bytes:
    """What Pigeon posts when she unsubscribes there."""
    one = {"id": "n1", "event": "unsubscribe", "email": AN, "list": "7", "at": rfc3339(reader.house.clock())}
    return json.dumps([one | changes]).encode()


def test_a_yes_here_appears_there(at_pigeon: Reader, pigeon: Pigeon) -> None:
    """Nobody is made known there before she confirmed; then she is on the list, with her link."""
    at_pigeon.signs_up("newsletter")
    at_pigeon.house.dispatch()
    assert pigeon.people == {}
    at_pigeon.house.clock.forward(minutes=2)
    at_pigeon.confirms()
    at_pigeon.house.dispatch()

    there = pigeon.people[AN]
    assert there["lists"] == ["7"]
    assert there["attributes"]["PREFS"].startswith("https://")
    assert pigeon.keys == {"Bearer key"}
    assert [member.on for member in at_pigeon.house.bridge.adapters["pigeon"].members()] == [{"newsletter"}]

    at_pigeon.house.clock.forward(minutes=2)
    at_pigeon.one_click()
    at_pigeon.house.dispatch()
    assert pigeon.people[AN]["lists"] == []


def test_an_unsubscribe_there_withdraws_here_once(at_pigeon: Reader, pigeon: Pigeon) -> None:
    """401 without the secret and 204 with it; the same news told three times is one event."""
    at_pigeon.has_consented("newsletter")
    client, body = at_pigeon.house.client, news(at_pigeon)
    before = len(at_pigeon.story())

    for address in ("/webhooks/pigeon", "/webhooks/pigeon/", "/webhooks/pigeon/another-secret"):
        assert client.post(address, data=body).status_code == 401
    assert at_pigeon.may().may
    for _ in range(3):
        assert client.post(f"/webhooks/pigeon/{SECRET}", data=body).status_code == 204

    assert at_pigeon.status() == "withdrawn"
    story = at_pigeon.story()
    assert len(story) == before + 1
    assert (story[-1].type, story[-1].source) == (EventType.UNSUBSCRIBED, "pigeon")
    at_pigeon.house.dispatch()
    assert pigeon.people[AN]["lists"] == []


def test_news_without_sense_is_nothing(at_pigeon: Reader) -> None:
    """One bad element never fails the others; a word of theirs that we have no word for is no news."""
    adapter = at_pigeon.house.bridge.adapters["pigeon"]
    good = json.loads(news(at_pigeon))[0]
    odd = [None, 1, [], {}, {**good, "event": "opened"}, {**good, "at": "noon"}, {**good, "list": "99"}, good]
    told = adapter.parse(Incoming(headers={}, body=json.dumps(odd).encode(), secret=SECRET))
    assert [report.purpose for report in told] == ["newsletter"]
    for body in (b"", b"\xff", b"{}", b"[" * 100_000):
        assert adapter.parse(Incoming(headers={}, body=body, secret=SECRET)) == []


def test_a_request_by_letter_is_carried_out_there(at_pigeon: Reader, pigeon: Pigeon) -> None:
    """Erasing there twice is as good as once."""
    at_pigeon.has_consented("newsletter")
    adapter = at_pigeon.house.bridge.adapters["pigeon"]
    for _ in range(2):
        assert [outcome.kind for outcome in adapter.erase([AN])] == ["done"]
    assert pigeon.people == {}


def test_missing_settings_are_named(installed: None) -> None:
    """The page's adapter says which setting is missing."""
    with pytest.raises(Misconfigured, match="PIGEON_API_KEY"):
        find("pigeon")({}, {}, {})


def test_the_file_is_written_as_ours_are(pigeon_file: Path) -> None:
    """The page's file passes the project's own linters."""
    config = str(PAGE.parent.parent / "pyproject.toml")
    for verb in (["check", "--config", config], ["format", "--check", "--config", config]):
        command = [sys.executable, "-m", "ruff", *verb, str(pigeon_file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
