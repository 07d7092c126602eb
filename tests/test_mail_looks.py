"""The mails that readers get, looked at: in text, in HTML without pictures, by day and by night, on a narrow screen.

Issue 8, point 7; TRK-01, A11Y-01, A11Y-02 (WCAG 2.2 AA). All kinds in all languages, from the command that shows them.
"""

import json
import re
import shutil
import socket
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser

from bridge.bootstrap import texts_of
from bridge.cli import main
from bridge.links import Links
from bridge.mailer import template_hash
from bridge.policy import Policy, load
from bridge.smtp import build
from bridge.specimens import KINDS, Specimens
from bridge.texts import TEMPLATES
from bridge.vocabulary import Letter, MailKind
from scripts.chromium import MISSING, find
from tests.browser import _CONTRASTS
from tests.conftest import POLICY

BASE = "https://keuzes.dagwijzer.example"
#: The longest name a topic may have, of one word: no mail may grow wide by it.
LONG = "Gemeenschapsfondsenondersteuningscommissievergaderingnieuws!"


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """The tests' policy with a long name in it and a topic for children."""
    folder = Path(shutil.copytree(POLICY, tmp_path_factory.mktemp("looks") / "policy"))
    file = folder / "policy.toml"
    text = file.read_text().replace('"Lezersaanbiedingen"', f'"{LONG}"')
    file.write_text(text.replace('id = "newsletter"\n', 'id = "newsletter"\noffered_to_children = true\n', 1))
    return load(file)


@pytest.fixture(scope="module")
def letters(policy: Policy) -> dict[tuple[MailKind, str], Letter]:
    """Each kind in each language, as long as it gets."""
    links = Links([b"k" * 32], BASE)
    made = Specimens(policy, texts_of(policy, links, Path("nowhere")), links)
    return {(kind, code): made.letter(kind, code, statement=True) for kind in KINDS for code in policy.languages}


def web_addresses(text: str) -> set[str]:
    return set(re.findall(r"https?://[^\s\"'<>]+", unescape(text)))


# -- the command -------------------------------------------------------------------------------------------------


def test_the_command_shows_each_mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Issue 8.7: every kind that has a template is listed and written as text and HTML, in the language asked for; no
    setting but the policy is needed, and nothing is opened: no database, no line."""
    monkeypatch.chdir(tmp_path)
    for name in ("BRIDGE_BASE_URL", "BRIDGE_DATABASE_URL", "BRIDGE_LINK_KEYS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "socket", None)
    monkeypatch.setenv("BRIDGE_POLICY", str(POLICY / "policy.toml"))
    run = CliRunner()
    listed = json.loads(run.invoke(main, ["mail", "preview", "--json"]).output)["mails"]
    assert set(listed) == {folder.name for folder in (TEMPLATES / "email").iterdir() if folder.is_dir()}
    assert all(f"{name} " in run.invoke(main, ["mail", "preview"]).output for name in listed)

    done = run.invoke(main, ["mail", "preview", "confirm", "--language", "nl"])
    assert done.exit_code == 0, done.output
    assert "Bevestig je inschrijving" in (tmp_path / "mail-preview/confirm.nl.html").read_text()
    assert "Bevestig" in done.output or "bevestig" in done.output
    done = run.invoke(main, ["mail", "preview", "all", "--out", "x", "--json"])
    written = json.loads(done.output)["written"]
    assert [(one["name"], one["language"]) for one in written] == [(n, code) for n in listed for code in ("nl", "en")]
    for one in written:
        assert Path(one["text"]).read_text().strip()
        assert f'<html lang="{one["language"]}"' in Path(one["html"]).read_text()
        assert one["bytes"] <= 30_000
    assert {path.name for path in tmp_path.iterdir()} == {"mail-preview", "x"}


def test_a_wrong_call_says_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 2 for a mail there is none of, 1 for a language the policy has not."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BRIDGE_POLICY", str(POLICY / "policy.toml"))
    wrong = CliRunner().invoke(main, ["mail", "preview", "hello"])
    assert (wrong.exit_code, "confirm, subscribed" in wrong.output) == (2, True)
    wrong = CliRunner().invoke(main, ["mail", "preview", "confirm", "--language", "fy"])
    assert (wrong.exit_code, "nl, en" in wrong.output) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_a_sample_is_nobodys(letters: dict[tuple[MailKind, str], Letter]) -> None:
    """Its words and templates are those of the real mail; its reader and its links are made up."""
    for (kind, _), letter in letters.items():
        assert letter.to.endswith(".example")
        assert template_hash(kind)
        for url in web_addresses(letter.text):
            assert url.startswith(f"{BASE}/")


# -- what they hold ----------------------------------------------------------------------------------------------


def test_each_is_small_and_tracks_nobody(letters: dict[tuple[MailKind, str], Letter]) -> None:
    """Issue 8.7, TRK-01: at most 30 KB on its way; no picture, no script, nothing remote; links only to us, and none
    of them tells who opens it but by the token of that link."""
    for key, letter in letters.items():
        message = build(letter)
        for _ in list(message.iter_attachments()):
            assert key[0] in (MailKind.WELCOME, MailKind.GOODBYE), key
        assert len(message.as_bytes()) <= 30_000, key
        assert not re.search(
            r"<(img|script|iframe|link|object|embed|video|svg|form)\b|url\(|@import|@font-face|src=", letter.html
        ), key
        assert web_addresses(letter.html) == web_addresses(letter.text), key
        assert all(url.startswith(f"{BASE}/") and "?" not in url for url in web_addresses(letter.html)), key


def test_each_says_everything_in_text(letters: dict[tuple[MailKind, str], Letter]) -> None:
    """A11Y-02: a text part of short lines with no markup, that holds the heading and every button's words."""
    for key, letter in letters.items():
        lines = letter.text.splitlines()
        assert all(len(line) <= 78 or line.startswith("https://") or LONG in line for line in lines), key
        assert not re.search(r"</?[a-z]|&[a-z]+;|\{\{|%\(", letter.text), key
        assert "\n\n\n" not in letter.text
        title = re.search(r"<h1[^>]*>(.*?)</h1>", letter.html)
        assert title
        assert letter.subject


def test_links_have_names_that_stand_alone(letters: dict[tuple[MailKind, str], Letter]) -> None:
    """A11Y-02, WCAG 2.4.4: what a link does is in its own words, or it shows its address; nothing by colour alone."""
    for key, letter in letters.items():
        found = re.findall(r"<a ([^>]*)>(.*?)</a>", letter.html, re.DOTALL)
        assert found, key
        for attributes, words in found:
            said = " ".join(unescape(re.sub("<[^>]+>", "", words)).split())
            assert len(said) >= 6, (key, said)
            assert not re.fullmatch(r"(klik )?(hier|here|click here|link|meer|more)\W*", said, re.IGNORECASE), key
            if "text-decoration:none" in attributes:
                assert "background:#" in attributes, "not underlined only where it looks like a button"


# -- what they look like -----------------------------------------------------------------------------------------

#: What is wrong with a mail in its frame: too wide, too pale, a text cut off; the language and the order of headings.
_WRONG = """([scheme]) => [...document.querySelectorAll("iframe")].map(frame => {
  const d = frame.contentDocument, wrong = [], root = d.documentElement;
  if (d.scrollingElement.scrollWidth > frame.clientWidth) wrong.push("wide " + d.scrollingElement.scrollWidth);
  for (const [text, ratio] of CONTRASTS(d)) if (ratio < 4.5) wrong.push("pale " + ratio.toFixed(2) + " " + text);
  for (const e of d.querySelectorAll("body *")) {
    const b = e.getBoundingClientRect();
    if (b.width && (b.right > frame.clientWidth + 1 || b.left < -1)) wrong.push("cut " + e.tagName + " " + e.textContent.slice(0, 30));
    if (parseFloat(frame.contentWindow.getComputedStyle(e).fontSize) < 13) wrong.push("small " + e.textContent.slice(0, 30)); }
  if (root.lang !== frame.dataset.lang) wrong.push("lang");
  if (d.querySelectorAll("h1").length !== 1 || !d.title) wrong.push("heading");
  const dark = frame.contentWindow.getComputedStyle(d.body).backgroundColor !== "rgb(255, 255, 255)";
  if (dark !== (scheme === "dark")) wrong.push("not " + scheme);
  return [frame.title, wrong]; }).filter(([, wrong]) => wrong.length)"""


@pytest.mark.browser
@pytest.mark.skipif(find() is None, reason=MISSING)
def test_each_is_readable_by_day_and_night_on_any_screen(
    letters: dict[tuple[MailKind, str], Letter], browser: Browser
) -> None:
    """A11Y-01, A11Y-02, issue 8.7: every kind in every language, light and dark, at 320 and 600 pixels: nothing wider
    than the screen, nothing cut off, every text at 4.5 to 1 and not tiny, one heading, its language told; and the
    browser asks nobody for anything."""
    contrasts = _CONTRASTS.replace("() => {", "document => {", 1)
    frames = "".join(
        f'<iframe title="{kind} {code} {width}" data-lang="{code}" width="{width}" height="900" '
        f'srcdoc="{escape(letter.html)}"></iframe>'
        for (kind, code), letter in letters.items()
        for width in (320, 600)
    )
    style = "<style>:root, iframe { color-scheme: light dark; } iframe { border: 0; }</style>"
    asked: list[str] = []
    page = browser.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.set_content(f"<!doctype html><title>mails</title>{style}{frames}")
    found: dict[str, Any] = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.evaluate(f"() => {{ window.CONTRASTS = {contrasts}; }}")
        found[scheme] = page.evaluate(_WRONG, [scheme])
    assert found == {"light": [], "dark": []}
    assert [url for url in asked if not url.startswith("about:")] == []
