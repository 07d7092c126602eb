"""Every paper in every language: one house that offers all four, and nothing English on what a German or French reader,
judge or director is given (issue 8, point 3; CAP-08)."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge.cli import main
from tests.channels import open_doors
from tests.conftest import House, Reader
from tests.test_templates import _translated

AN = "an.vandenberg@lezer.example"
#: Added to the English wordings: what each language must say (CAP-04).
SAYS = {
    "fr": "Vous pouvez retirer votre consentement. Déclaration de confidentialité.",
    "de": "Sie können Ihre Einwilligung widerrufen. Datenschutzerklärung.",
}
#: A sentence of each paper, so that an empty one does not pass.
TITLES = {
    "register channels": ("Registre des canaux", "Verzeichnis der Kanäle"),
    "register processors": ("Registre des tiers", "Verzeichnis der Dritten"),
    "register processing": ("Registre des activités de traitement", "Verzeichnis von Verarbeitungstätigkeiten"),
    "register processing --processor": (
        "Registre des traitements pour autrui",
        "Verzeichnis der Verarbeitungen im Auftrag",
    ),
    "register staff": ("Qui a fait quoi", "Wer was getan hat"),
    "report --department marketing": ("Rapport pour le marketing", "Bericht für das Marketing"),
    "report --department sales": ("Rapport pour les ventes", "Bericht für den Vertrieb"),
    "report --department support": ("Rapport pour le service aux lecteurs", "Bericht für den Leserservice"),
    "report --department it": ("Rapport pour l’informatique", "Bericht für die IT"),
    "report --department management": ("Rapport pour la direction", "Bericht für die Leitung"),
    "audit": ("Audit des consentements", "Prüfung der Einwilligungen"),
}


@pytest.fixture
def policy_folder(policy_folder: Path) -> Path:
    """The newspaper with all its doors in four languages; what it says itself is English in the new ones."""
    open_doors(policy_folder)
    path = policy_folder / "policy.toml"
    text = re.sub(r"(?m)^(\w+)\.en = (.*)$", r"\1.en = \2\n\1.fr = \2\n\1.de = \2", path.read_text(encoding="utf-8"))
    path.write_text(text.replace('["nl", "en"]', '["nl", "en", "fr", "de"]'), encoding="utf-8")
    for wording in (policy_folder / "notices").glob("*.en.txt"):
        for language, words in SAYS.items():
            text = f"{wording.read_text(encoding='utf-8')}\n{words}"
            wording.with_name(wording.name.replace(".en.", f".{language}.")).write_text(text, encoding="utf-8")
    return policy_folder


@pytest.fixture
def shop(home: House) -> House:
    """That house, its clock near the real one, which commands read."""
    home.clock.now = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    return home


def left(language: str, text: str) -> list[str]:
    """English sentences of ours that stand in it, in whatever lines; "e-mail address" is what the wordings say."""
    flat = " ".join(unescape(text).split())
    found = [sentence for sentence in _translated(language) if sentence in flat and sentence != "e-mail address"]
    return [sentence for sentence in found if re.search(rf"(?<!\w){re.escape(sentence)}(?!\w)", flat)]


@pytest.mark.parametrize(("number", "language"), list(enumerate(SAYS)))
def test_nothing_is_left_in_english(
    shop: House, tmp_path: Path, number: int, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader's way from the form to the answer of her letter, and each paper about her: in her language alone."""
    monkeypatch.chdir(tmp_path)
    papers: dict[str, str] = {}

    def types(words: str, *more: str) -> str:
        done = CliRunner().invoke(main, [*words.split(), *more], env=shop.environment)
        assert done.exit_code == 0, done.output
        return done.stdout

    an = Reader(shop, AN)
    papers["form"] = shop.client.get(f"/subscribe?language={language}").text
    form = {"email": AN, "purpose": ["newsletter", "offers"], "channel": "footer", "language": language}
    papers["asked"] = shop.client.post("/subscribe", data=form).text
    shop.dispatch()
    shop.clock.forward(minutes=1)
    papers["confirmed"] = shop.client.post(an.link("/confirm/")).text
    shop.dispatch()
    leaving = an.link("/u/")
    papers["leave"] = shop.client.get(leaving).text
    papers["left"] = shop.client.post(leaving, data={"scope": "list"}).text
    papers["settings"] = shop.client.get(leaving.replace("/u/", "/preferences/")).text
    papers["statement"] = shop.client.get(f"/privacy?language={language}").text
    papers["receipt"] = shop.client.get(f"/receipt?language={language}").text
    for path in ("/nothing", "/confirm/nothing", "/preferences/nothing"):
        papers[path] = shop.client.get(path, headers={"Accept-Language": language}).text
    shop.dispatch()
    for message in shop.mailbox.to(AN):
        body = message.get_body(("plain",))
        assert body is not None
        papers[f"mail {message['Subject']}"] = f"{message['Subject']}\n{body.get_content()}"

    for command, title in TITLES.items():
        file = Path(f"{command}.html")
        types(command, "--language", language, "--out", str(file))
        papers[command] = file.read_text(encoding="utf-8")
        assert title[number] in unescape(papers[command]), command
    types("evidence", AN, "--language", language, "--out", "case")
    types("export", AN, "--language", language, "--out", "copy", "--reason", "asked")
    id_ = types("rights open", AN, "object", "--own-mailbox", "--language", language).split()[1].rstrip(":")
    types("rights answer", id_, "--language", language, "--yes", "--out", "letter")
    for folder in ("case", "copy", "letter"):
        for file in Path(folder).rglob("*"):
            if file.suffix in (".html", ".txt"):
                papers[str(file)] = file.read_text(encoding="utf-8")

    assert {name: found for name, text in papers.items() if (found := left(language, text))} == {}
    for name, text in papers.items():
        assert f'lang="{language}"' in text or "<html" not in text, name
    asked = " ".join(str(shop.mailbox.to(AN)[0]["Subject"]).split())
    assert (
        asked
        == ("De Dagwijzer : confirmez votre inscription", "De Dagwijzer: Bitte bestätigen Sie Ihre Anmeldung")[number]
    )
