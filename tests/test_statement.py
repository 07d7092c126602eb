"""The privacy statement: whole or not published, kept for ever, its changes told (GDPR 13, 14; TRN-01 to TRN-05)."""

import copy
import hashlib
import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text as sql
from sqlalchemy.exc import DBAPIError

from bridge.bootstrap import Bridge
from bridge.cli.main import main
from bridge.jobs.doctor import papers
from bridge.jobs.publishing import Refused, draft, publish
from bridge.jobs.tasks import acknowledge
from bridge.notices import NoticeError
from bridge.policy import Policy, load
from bridge.statement import REQUIRED, SECTIONS, changes, content, lacks, render, wanted
from bridge.store import BadInput
from bridge.texts import TEMPLATES, Texts
from bridge.vocabulary import LegalBasis, Status
from tests.channels import open_doors
from tests.conftest import House, Reader
from tests.test_backup import Copies, fresh, small
from tests.test_doctor import notes, wrong
from tests.test_import import Lists
from tests.test_privacy import text
from tests.test_processors import write
from tests.test_subscribe import html
from tests.test_templates import COMMON

__all__ = ["fresh", "small"]

DEMO = load(TEMPLATES / "demo" / "policy.toml")
TODAY = date(2026, 11, 23)
TEXTS = Texts(("nl", "en"), ZoneInfo("Europe/Brussels"), common=COMMON)
AUTHORITY = """
[statement.authority]
name = "Gegevensbeschermingsautoriteit"
address = "Drukpersstraat 35, 1000 Brussel"
website = "https://www.gegevensbeschermingsautoriteit.be"
"""


def missing(policy: Policy, language: str = "en") -> set[str]:
    """What the statement of this policy lacks."""
    return {lack.where for lack in lacks(policy, content(policy, TEXTS, language), TODAY)}


def demo(**changes: Any) -> Policy:
    return msgspec.structs.replace(DEMO, **changes)


def entry(**changes: Any) -> Policy:
    """The demo's policy with its Mailchimp entry changed."""
    changed = msgspec.structs.replace(DEMO.processors["mailchimp"], **changes)
    return demo(processors={**DEMO.processors, "mailchimp": changed})


@pytest.fixture
def whole(environment: dict[str, str]) -> dict[str, str]:
    """A policy whose statement lacks nothing."""
    write(environment, end=AUTHORITY)
    return environment


@pytest.fixture
def office(
    whole: dict[str, str], make_house: Callable[..., House], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> House:
    """A house that the command finds, on either database."""
    for name, value in {**whole, "BRIDGE_DATABASE_URL": database_url}.items():
        monkeypatch.setenv(name, value)
    return make_house(database_url)


def run(*words: str) -> Result:
    """Call the command."""
    return CliRunner().invoke(main, ["statement", *words])


# -- whole or not at all (TRN-01) ---------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["nl", "en"])
def test_trn_01_each_item_taken_away_in_turn_is_named(language: str) -> None:
    """TRN-01: section 9's list, item by item: without any of them the statement is not whole, and it says which."""
    source = msgspec.structs.replace(
        next(iter(DEMO.channels.values())),
        source=msgspec.convert({"name": "Partner nv", "contact": "p@partner.example"}, type=_source()),
    )
    policy = demo(channels={"bought": source})
    told = content(policy, TEXTS, language)
    assert lacks(policy, told, TODAY) == []
    assert set(wanted(policy)) == set(SECTIONS) - {"representative"}

    taken = 0
    for section, keys in wanted(policy).items():
        for key in keys:
            less: Any = copy.deepcopy(told)
            del less[section][key]
            assert f"{section}.{key}" in {lack.where for lack in lacks(policy, less, TODAY)}
            less = copy.deepcopy(told)
            less[section][key] |= {"title": "", "text": " "}
            assert f"{section}.{key}" in {lack.where for lack in lacks(policy, less, TODAY)}
            for fact in told[section][key]["facts"]:
                less = copy.deepcopy(told)
                less[section][key]["facts"][fact][1] = ""
                assert f"{section}.{key}.{fact}" in {lack.where for lack in lacks(policy, less, TODAY)}
            taken += 1
    assert taken >= sum(len(keys) for keys in REQUIRED.values())


@pytest.mark.parametrize("language", ["nl", "en"])
def test_trn_01_what_is_offered_to_children_is_told(language: str) -> None:
    """TRN-01, KID-01, GDPR 13 and 14: how the age is asked, what is kept of it, and where a guardian's address is from;
    a paper that offers children nothing says none of it."""
    club = msgspec.structs.replace(DEMO.purposes["newsletter"], offered_to_children=True)
    policy = demo(purposes={**DEMO.purposes, "newsletter": club})
    told = content(policy, TEXTS, language)
    assert lacks(policy, told, TODAY) == []
    assert "children" in told["purposes"]["newsletter"]["facts"]
    assert "children" not in told["purposes"]["offers"]["facts"]
    without = content(DEMO, TEXTS, language)
    for section, key in (("duties", "age"), ("data", "age"), ("source", "guardian"), ("retention", "guardian")):
        assert told[section][key]["text"]
        assert key not in without[section]
        less = copy.deepcopy(told)
        del less[section][key]
        assert f"{section}.{key}" in {lack.where for lack in lacks(policy, less, TODAY)}


def _source() -> Any:
    from bridge.policy.shapes import Source

    return Source


CONTROLLER = DEMO.controller
EMPTIED: dict[str, tuple[Policy, str]] = {
    "controller": (demo(controller=msgspec.structs.replace(CONTROLLER, name="")), "controller.controller"),
    "its address": (demo(controller=msgspec.structs.replace(CONTROLLER, address="")), "controller.controller.address"),
    "its contact": (demo(controller=msgspec.structs.replace(CONTROLLER, email="")), "controller.controller.email"),
    "representative": (demo(country="US"), "representative.representative"),
    "officer and contact": (demo(dpo=None), "contact.contact"),
    "officer's name": (demo(dpo=msgspec.structs.replace(DEMO.dpo, name="")), "contact.contact.text"),
    "a purpose's name": (
        demo(purposes={"newsletter": msgspec.structs.replace(DEMO.purposes["newsletter"], description={})}),
        "purposes.newsletter.text",
    ),
    "the interest": (
        demo(purposes={"offers": msgspec.structs.replace(DEMO.purposes["offers"], basis=LegalBasis.SOFT_OPT_IN)}),
        "purposes.offers.interest",
    ),
    "a recipient nobody checked": (entry(to_check=True), "recipients.mailchimp"),
    "a recipient that is not in use": (entry(status="ended"), "recipients.mailchimp"),
    "transfer tool": (entry(transfer_tool=""), "transfers.mailchimp.tool"),
    "safeguard": (entry(safeguard={"nl": "bepalingen"}), "transfers.mailchimp.safeguard"),
    "authority": (demo(statement=msgspec.structs.replace(DEMO.statement, authority=None)), "complaint.complaint"),
}


@pytest.mark.parametrize(("policy", "where"), EMPTIED.values(), ids=EMPTIED.keys())
def test_trn_01_what_the_policy_does_not_say_is_named(policy: Policy, where: str) -> None:
    """TRN-01, REG-03: a line left out of the policy is the very item that the check names, with a fix."""
    assert missing(DEMO) == set()
    found = lacks(policy, content(policy, TEXTS, "en"), TODAY)
    assert {lack.where for lack in found} == {where}
    assert all(len(lack.fix) > 10 for lack in found)


@pytest.mark.parametrize("language", ["nl", "en"])
def test_trn_01_everything_it_says_stands_on_the_page(language: str) -> None:
    """TRN-01: no item is left out by the page; the stop list's sentence, the tool, the authority, in either language."""
    told = content(DEMO, TEXTS, language)
    page = text(render(TEXTS, language, told, version="1", day=TODAY))
    for section, heading in SECTIONS.items():
        if told[section]:
            assert TEXTS.gettext(language, heading) in page
        for item in told[section].values():
            for said in (item["title"], item["text"], *(words for _, words in item["facts"].values())):
                assert " ".join(said.split()) in page
    for said in {"nl": ("Verenigde Staten", "vingerafdruk"), "en": ("United States", "fingerprint")}[language]:
        assert said in page
    assert "2021/914" in page
    assert "Gegevensbeschermingsautoriteit" in page


def test_trn_01_it_is_not_published_with_a_gap(home: House) -> None:
    """TRN-01: refused, the gap named once, nothing kept, `doctor` says so; readers see the draft meanwhile."""
    with pytest.raises(Refused, match=r"complaint\.complaint: name the authority"):
        publish(home.bridge, "Dora Maes")
    assert home.store.papers.newest() == 0
    assert "complaint.complaint" in notes(papers.look(home.bridge))["privacy statement: cannot be published"]
    assert home.client.get("/privacy").status_code == 200


@pytest.mark.parametrize("block", ["[dpo]", "[privacy_contact]"])
@pytest.mark.parametrize("language", ["nl", "en"])
def test_trn_02_officer_or_contact(
    whole: dict[str, str], make_house: Callable[..., House], sqlite_url: str, block: str, language: str
) -> None:
    """TRN-02: an officer, or a privacy contact where none is required: published and named as what they are; the
    controller stays the one who is responsible."""
    write(whole, ("[dpo]", block))
    house = make_house(sqlite_url)
    publish(house.bridge, "Dora Maes")
    page = text(html(house.client.get(f"/privacy/1?language={language}")))
    words = {
        ("[dpo]", "nl"): "Functionaris voor gegevensbescherming: Dora Maes",
        ("[dpo]", "en"): "Data protection officer: Dora Maes",
        ("[privacy_contact]", "nl"): "Vragen over je gegevens: Dora Maes",
        ("[privacy_contact]", "en"): "Questions about your data: Dora Maes",
    }
    for (mode, spoken), said in words.items():
        if spoken == language:
            assert (said in page) is (mode == block)
    assert f"{TEXTS.gettext(language, SECTIONS['controller'])} De Dagwijzer NV" in page


# -- versions (TRN-03) -------------------------------------------------------------------------------------------


def again(
    make_house: Callable[..., House], house: House, environment: dict[str, str], *edits: tuple[str, str]
) -> House:
    """The operator changed the policy, and started again on the same database."""
    url = house.bridge.settings.database_url
    house.close()
    write(environment, *edits)
    return make_house(url)


def test_trn_03_old_versions_are_served_byte_for_byte(
    office: House, whole: dict[str, str], make_house: Callable[..., House]
) -> None:
    """TRN-03: /privacy/1 gives the same bytes after later versions, a changed policy and a new accent; /privacy the
    newest; each version names date, hash and changes of those before it. On both databases."""
    assert run("publish", "--by", "Dora Maes").exit_code == 0
    first = {language: office.client.get(f"/privacy/1?language={language}").data for language in ("nl", "en")}
    rows = json.loads(run("show", "--json").stdout)
    assert {row["language"]: row["sha256"] for row in rows} == {
        language: hashlib.sha256(body).hexdigest() for language, body in first.items()
    }
    assert {row["by"] for row in rows} == {"Dora Maes"}
    assert office.client.get("/privacy?language=en").data == first["en"]

    second = again(
        make_house, office, whole, ("sends newsletter and offers", "sends our letters"), ("#9b1c31", "#123456")
    )
    assert "privacy statement: out of date" in wrong(papers.look(second.bridge))
    assert run("publish", "--by", "Dora Maes").exit_code == 0
    newest = second.client.get("/privacy?language=en").data
    assert newest != first["en"]
    assert newest == second.client.get("/privacy/2?language=en").data
    for language, body in first.items():
        assert second.client.get(f"/privacy/1?language={language}").data == body
    page = text(newest.decode())
    assert hashlib.sha256(first["en"]).hexdigest() in page
    assert "Changed: Who gets it: An ESP in memory; sends our letters" in page
    assert "privacy statement: out of date" not in wrong(papers.look(second.bridge))
    assert run("publish").exit_code == 1
    assert second.store.papers.newest() == 2


def test_trn_03_a_language_that_was_dropped_stays_readable(
    whole: dict[str, str], make_house: Callable[..., House], sqlite_url: str
) -> None:
    """TRN-03: the policy no longer speaks English; who was told in English still finds what she was told."""
    house = make_house(sqlite_url)
    publish(house.bridge, "Dora Maes")
    told = house.client.get("/privacy/1?language=en").data
    house.close()
    path = Path(whole["BRIDGE_POLICY"])
    kept = re.sub(r"^\w+\.en = .*\n", "", path.read_text("utf-8"), flags=re.MULTILINE)
    path.write_text(kept.replace('languages = ["nl", "en"]', 'languages = ["nl"]'), "utf-8")
    for words in (path.parent / "notices").glob("*.en.txt"):
        words.unlink()
    later = make_house(sqlite_url)

    assert later.client.get("/privacy/1?language=en").data == told
    assert later.client.get("/privacy/1").data not in (b"", told)
    assert later.client.get("/privacy/1?language=%00").status_code == 200
    assert draft(later.bridge).changed


def test_trn_03_nobody_changes_what_was_published(office: House) -> None:
    """TRN-03: the database refuses it; where somebody got around that, `doctor` says which version."""
    publish(office.bridge, "Dora Maes")
    database = office.bridge.database
    for statement in ("UPDATE statements SET body = ''", "DELETE FROM statements"):
        with pytest.raises(DBAPIError, match="never change"), database.engine.begin() as db:
            db.execute(sql(statement))
    assert not office.store.papers.spoilt()
    with database.engine.begin() as db:
        drop = "DROP TRIGGER statements_keep_update" + ("" if database.dialect == "sqlite" else " ON statements")
        db.execute(sql(drop))
        db.execute(sql("UPDATE statements SET sha256 = 'x' WHERE language = 'nl'"))
    assert "privacy statement 1 (nl)" in wrong(papers.look(office.bridge))


def test_trn_03_two_who_publish_at_once_make_one_version(office: House) -> None:
    """TRN-03: the second is told, and overwrites nothing."""
    made = draft(office.bridge)
    publish(office.bridge, "Dora Maes")
    with pytest.raises(BadInput, match="somebody else"):
        office.store.papers.publish(made.version, "Carla", office.clock(), {"nl": (b"other", {}, [])})
    assert {one.published_by for one in office.store.papers.versions()} == {"Dora Maes"}


def test_trn_03_only_what_was_published_has_an_address(office: House) -> None:
    """TRN-03: the draft has its own name until the first is out; no number leads to anything else."""
    name = text(html(office.client.get("/privacy?language=en"))).split("Version ")[1][:12]
    assert office.client.get(f"/privacy/{name}").status_code == 200
    publish(office.bridge, "Dora Maes")
    for other in (name, "2", "0", "-1", "01", "+1", "01x", "32768", "9" * 40, "²", "%00"):
        assert office.client.get(f"/privacy/{other}").status_code == 404
    assert office.client.get("/privacy/1").status_code == 200


def test_trn_03_a_restored_copy_serves_the_same_bytes(whole: dict[str, str], small: Copies) -> None:
    """TRN-03: what was published comes with the backup, and what somebody saw in the registers too."""
    publish(small.house.bridge, "Dora Maes")
    acknowledge(small.house.bridge, "Dora Maes")
    before = small.house.client.get("/privacy/1?language=en").data
    house, _ = small.restores(small.backs_up())
    assert house.client.get("/privacy/1?language=en").data == before
    look = house.store.papers.last_look()
    assert look
    assert look.by == "Dora Maes"


def test_the_commands_say_what_they_did(office: House, tmp_path: Path) -> None:
    """TRN-01, TRN-03: check, publish, show; --out writes the very bytes, before the first the draft."""
    assert run("check").exit_code == 0
    assert run("show", "--out", str(tmp_path / "draft.html")).exit_code == 0
    assert b"De Dagwijzer NV" in (tmp_path / "draft.html").read_bytes()
    told = json.loads(run("publish", "--by", "Dora Maes", "--json").stdout)
    assert told["version"] == 1
    assert not told["material"]
    assert run("show", "--language", "nl", "--out", str(tmp_path / "nl.html")).exit_code == 0
    assert (tmp_path / "nl.html").read_bytes() == office.client.get("/privacy/1?language=nl").data
    assert run("show", "--version", "7").exit_code == 1
    assert run("show", "--language", "fr").exit_code == 1


# -- what changed is told (TRN-05) --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (demo(purposes={**DEMO.purposes, "books": msgspec.structs.replace(DEMO.purposes["offers"], id="books")}), {("added", "purposes", "books", "yes")}),
        (demo(purposes={"offers": DEMO.purposes["offers"]}), {("removed", "purposes", "newsletter", "")}),
        (
            demo(processors={**DEMO.processors, "crm": msgspec.structs.replace(DEMO.processors["mailchimp"], adapter="", id="crm", country="BE")}),
            {("added", "recipients", "crm", "yes")},
        ),
        (entry(transfer_tool="binding corporate rules"), {("changed", "transfers", "mailchimp", "yes")}),
        (entry(country="IN"), {("changed", "recipients", "mailchimp", "yes"), ("changed", "transfers", "mailchimp", "")}),
        (demo(controller=msgspec.structs.replace(CONTROLLER, name="De Avond NV")), {("changed", "controller", "controller", "yes")}),
        (demo(controller=msgspec.structs.replace(CONTROLLER, website="https://nieuw.example")), {("changed", "controller", "controller", "")}),
        (demo(evidence_ip=True), {("added", "duties", "network", "")}),
    ],
)  # fmt: skip
def test_trn_05_the_change_list_is_made_item_by_item(policy: Policy, told: set[tuple[str, str, str, str]]) -> None:
    """TRN-03, TRN-05: what came, went or changed; material is a new purpose, controller, recipient or transfer."""
    found = changes(content(DEMO, TEXTS, "en"), content(policy, TEXTS, "en"))
    assert {(one["how"], one["section"], one["key"], one["material"]) for one in found} == told
    assert changes(content(DEMO, TEXTS, "en"), content(DEMO, TEXTS, "en")) == []


SHOP = """
[[processors]]
id = "printer"
name = "Drukkerij nv"
service = "prints letters"
data = ["name"]
country = "BE"
contract = 2026-01-05
review_by = 2036-01-05
"""


@pytest.mark.parametrize(
    ("tell", "page", "mail"), [("none", False, False), ("page", True, False), ("mail", True, True)]
)
def test_trn_05_readers_hear_of_it_as_the_policy_says(
    whole: dict[str, str], make_house: Callable[..., House], sqlite_url: str, tell: str, page: bool, mail: bool
) -> None:
    """TRN-05, GDPR 13(3), SND-05: a new recipient: a line on their own page, and at the foot of our mails, for 60 days;
    no mail of its own, so nothing goes to whoever would get none."""
    write(whole, ("[statement.authority]", f'[statement]\ntell = "{tell}"\n[statement.authority]'))
    house = make_house(sqlite_url)
    an = Reader(house, "an@lezer.example").has_consented()
    publish(house.bridge, "Dora Maes")
    mails = len(house.mailbox.messages)
    assert not _told(house, an)
    house.close()
    path = Path(whole["BRIDGE_POLICY"])
    path.write_text(path.read_text("utf-8") + SHOP, "utf-8")
    later = make_house(sqlite_url)
    later.clock.forward(minutes=5)
    made = publish(later.bridge, "Dora Maes")
    assert made.material
    an = Reader(later, an.email)
    later.dispatch()
    assert len(later.mailbox.messages) == mails + 1  # only the link that she asked for
    assert _told(later, an) == (page, mail)
    later.clock.forward(days=62)
    assert _told(later, an) == (False, False)


def _told(house: House, an: Reader) -> tuple[bool, bool] | None:
    """Whether her page and her newest mail say that the statement changed; None for neither."""
    link = an.asks_for_a_link()
    words = "Onze privacyverklaring is op"
    page = words in html(house.client.get(f"{link}?language=nl"))
    mail = house.mailbox.to(an.email)[-1].get_body(("plain",))
    assert mail is not None
    found = (page, words in mail.get_content())
    return found if house.store.papers.newest() > 1 else None


# -- an old yes does not stretch (TRN-05) --------------------------------------------------------------------------

PURPOSE = """
[[purposes]]
id = "partners"
basis = "consent"
name.nl = "Partners"
name.en = "Partners"
description.nl = "Aanbiedingen van partners."
description.en = "Offers of partners."
label.nl = "Ja, graag."
label.en = "Yes, please."
frequency.nl = "elke maand"
frequency.en = "every month"
at.memory = { list = "partners" }
"""


def test_trn_05_a_new_purpose_starts_with_nobody(
    make_house: Callable[..., House], database_url: str, environment: dict[str, str]
) -> None:
    """TRN-05: whoever said yes to everything there was said nothing to what came later: status unknown, no mail, and no
    platform is told."""
    house = make_house(database_url)
    readers = [Reader(house, f"{name}@lezer.example").has_consented("newsletter", "offers") for name in ("an", "bram")]
    url = house.bridge.settings.database_url
    house.close()
    folder = Path(environment["BRIDGE_POLICY"]).parent / "notices"
    for language in ("nl", "en"):
        words = (folder / f"offers-1.{language}.txt").read_text("utf-8")
        often = {"nl": ("hoogstens twee keer per maand", "elke maand"), "en": ("at most twice a month", "every month")}
        (folder / f"partners-1.{language}.txt").write_text(words.replace(*often[language]), "utf-8")
    write(environment, end=PURPOSE)
    later = make_house(url)
    later.dispatch()
    for reader in (Reader(later, reader.email) for reader in readers):
        answer = reader.may("partners")
        assert (answer.may, answer.status) == (False, Status.UNKNOWN)
        assert reader.may("newsletter").may
        assert not reader.is_on("partners")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (
            ('recipients = ["Mailchimp", "SendGrid"]', 'recipients = ["Mailchimp", "SendGrid", "Drukkerij nv"]'),
            "Drukkerij nv",
        ),
        (('name = "De Dagwijzer NV"', 'name = "De Avond NV"'), "De Avond NV"),
    ],
)
def test_trn_05_a_new_recipient_or_controller_asks_anew(
    make_house: Callable[..., House], sqlite_url: str, environment: dict[str, str], edit: tuple[str, str], said: str
) -> None:
    """TRN-05: neither comes in without a new wording (CAP-04, CAP-07), nor with one that lets an old yes count; with
    `notice_since` raised it loads, and the old yes mails nobody. A company that only changed its name says so."""
    house = make_house(sqlite_url)
    an = Reader(house, "an@lezer.example").has_consented("newsletter", "offers")
    house.close()
    write(environment, edit, ('postal_address = "De Dagwijzer NV', 'postal_address = "' + said + ", De Dagwijzer"))
    with pytest.raises(NoticeError, match="CAP-04"):
        Bridge.from_env({**environment, "BRIDGE_DATABASE_URL": sqlite_url}).ready()

    folder = Path(environment["BRIDGE_POLICY"]).parent / "notices"
    purposes = ("newsletter", "offers") if "Avond" in said else ("newsletter",)
    for purpose in purposes:
        for language in ("nl", "en"):
            words = (folder / f"{purpose}-1.{language}.txt").read_text("utf-8")
            (folder / f"{purpose}-2.{language}.txt").write_text(f"{words}\n{said}", "utf-8")
        write(environment, (f'id = "{purpose}"', f'id = "{purpose}"\nnotice = 2'))
    with pytest.raises(NoticeError, match="TRN-05") as refused:
        Bridge.from_env({**environment, "BRIDGE_DATABASE_URL": sqlite_url}).ready()
    assert said in str(refused.value)

    if "Avond" in said:
        path = Path(environment["BRIDGE_POLICY"])
        before = path.read_text("utf-8")
        write(environment, ('website = "https://www', 'formerly = ["De Dagwijzer NV"]\nwebsite = "https://www'))
        same = make_house(sqlite_url)
        assert Reader(same, an.email).may("newsletter").may
        same.close()
        path.write_text(before, "utf-8")
    for purpose in purposes:
        write(environment, (f'id = "{purpose}"\nnotice = 2', f'id = "{purpose}"\nnotice = 2\nnotice_since = 2'))
    later = make_house(sqlite_url)
    assert not Reader(later, an.email).may("newsletter").may
    assert "no longer cover" in " ".join(Reader(later, an.email).may("newsletter").why)


# -- data that is not from her (TRN-04) -----------------------------------------------------------------------------


def test_trn_04_whoever_came_by_a_bought_list_is_told_of_the_source_or_gone_within_a_month(
    policy_folder: Path, make_house: Callable[..., House], database_url: str, tmp_path: Path
) -> None:
    """TRN-04, GDPR 14(1)-(3): the statement names the source, which data came from it and how long they stay; without a
    word of her own she is never mailed, and her row ages out before the month is over."""
    open_doors(policy_folder)
    house = make_house(database_url)
    lists = Lists(house, tmp_path)
    lists.take(lists.write({"email": "an@lezer.example", "method": ""}), channel="bought")
    an = Reader(house, "an@lezer.example")
    assert not an.may("newsletter").may

    for language, said in (("en", "within a month"), ("nl", "binnen een maand")):
        page = text(html(house.client.get(f"/privacy?language={language}")))
        for words in ("Partner nv", "privacy@partner.example", said):
            assert words in page
    house.clock.forward(days=27, hours=23)
    assert house.store.forget_quarantined(["bought"]) == 0
    house.clock.forward(days=1)
    assert house.store.forget_quarantined(["bought"]) == 1
    assert house.store.person("an@lezer.example") is None
    assert house.mailbox.to("an@lezer.example") == []
