"""More than yes and no on the preference page: how often, a sample, what happened, what comes after a stop, its undoing.

Issue 8, point 2; PRF-01 to PRF-06, WDR-11, WDR-14; GDPR 7(3), 16, 25.
"""

import re
from collections.abc import Callable
from html import unescape
from itertools import permutations
from pathlib import Path

import msgspec
import pytest

from bridge.decide import MAILABLE, status, taken
from bridge.policy import USUAL, PolicyError, load
from bridge.remembered import BY_GUARDIAN, SAID, UNTOLD, remembered
from bridge.vocabulary import GUARDIAN, READER, ConsentEvent, EventType, Evidence, Method, Status
from tests.conftest import Fields, House, Reader
from tests.test_preferences import cards, fresh_link, old_link, someone, state, told, types
from tests.test_subscribe import html
from tests.test_unsubscribe import stop_link

RHYTHM = """
[[fields]]
id = "pace"
rhythm = true
label.nl = "Hoe vaak de nieuwsbrief"
label.en = "How often the newsletter"
purposes = ["newsletter"]
need = "to send it as often as a reader wants"
choices = ["weekly", "monthly"]
choice_names.weekly = { nl = "een keer per week", en = "once a week" }
choice_names.monthly = { nl = "een keer per maand", en = "once a month" }
at.memory = "PACE"
"""
SAMPLE = """
sample.nl = "issue.pdf"
sample.en = "https://www.dedagwijzer.example/issue"
"""


@pytest.fixture
def paced(make_house: Callable[..., House], policy_folder: Path, database_url: str) -> House:
    """A house where a reader may choose how often, and look at an issue first."""
    file = policy_folder / "policy.toml"
    text = file.read_text().replace(
        '[purposes.at.memory]\nlist = "newsletter"', SAMPLE + '[purposes.at.memory]\nlist = "newsletter"'
    )
    file.write_text(text + RHYTHM)
    (policy_folder / "issue.pdf").write_bytes(b"%PDF-1.7 an issue")
    return make_house(database_url)


def chooses(reader: Reader, link: str, value: str, was: str = USUAL) -> str:
    """Save the page as it is, but for how often; what it answers."""
    page = html(reader.house.client.get(link))
    kept = [(name, v) for name, v in Fields(page).hidden if name in ("save", "was", "made")]
    data: dict[str, object] = {name: [v for n, v in kept if n == name] for name, _ in kept}
    data |= {"purpose": Fields(page).checked, "often-newsletter": value, "often-was-newsletter": was}
    answer = reader.house.client.post(link, data=data)
    assert answer.status_code in (200, 400)
    return html(answer)


def pace(reader: Reader) -> str:
    """What is kept of how often."""
    return someone(reader).fields.get("pace", USUAL)


# -- how often ---------------------------------------------------------------------------------------------------


def test_how_often_is_no_new_consent_and_reaches_the_platform(paced: House) -> None:
    """PRF-01, GDPR 25: less often is a field of hers at each platform; the yes stays the one she gave, on the page,
    at the gate and in the proof."""
    an = Reader(paced, "an.vandenberg@lezer.example")
    an.has_consented("newsletter")
    paced.dispatch()
    assert "PACE" not in paced.esp.people[an.email].fields
    yes = [event for event in an.story() if event.type is EventType.GIVEN]
    page = html(paced.client.get(f"{fresh_link(an)}?language=en"))
    assert re.findall(r'<input type="radio" id="often-newsletter-(\w+)"[^>]*( checked)>', page) == [
        ("usual", " checked")
    ]
    assert "every working day, with a digest at the weekend" in cards(page)["newsletter"]
    assert "once a week" in cards(page)["newsletter"]

    assert told(chooses(an, fresh_link(an), "weekly")).startswith("Bewaard")
    paced.dispatch()
    assert paced.esp.people[an.email].fields == {"PACE": "weekly"}
    event = an.story()[-1]
    assert (event.type, event.purpose, event.evidence.detail) == (EventType.CORRECTED, "", "pace")
    assert [e for e in an.story() if e.type is EventType.GIVEN] == yes
    assert an.may().may

    before = types(an)
    chooses(an, fresh_link(an), "weekly", was="weekly")
    assert types(an) == before, "nothing changed is nothing recorded"

    chooses(an, fresh_link(an), USUAL, was="weekly")
    paced.dispatch()
    assert paced.esp.people[an.email].fields == {"PACE": USUAL}, "said, for a platform keeps what it is not told"
    known = html(paced.client.get(f"{fresh_link(an)}?language=en"))
    assert "How often the newsletter: every working day, with a digest at the weekend" in known


def test_a_forwarded_link_makes_it_rarer_and_never_more_often(paced: House) -> None:
    """PRF-03, decision 8: an old mail's link may lower; whatever raises needs a fresh link. It does not tell what she
    chose. All pairs of choices."""
    an = Reader(paced, "an.vandenberg@lezer.example")
    an.has_consented("newsletter")
    order = (USUAL, "weekly", "monthly")
    for known, wanted in permutations(order, 2):
        chooses(an, fresh_link(an), known, was="")
        assert pace(an) == known
        page = html(paced.client.get(old_link(an)))
        assert re.findall(r'id="often-newsletter-(\w+)"[^>]* checked', page) == ["same"]
        assert re.findall(r'id="often-newsletter-(\w+)"', page) == ["same", "weekly", "monthly"]
        assert 'name="often-was' not in page
        rarer = order.index(wanted) > order.index(known)
        answer = chooses(an, old_link(an), wanted, was="")
        assert pace(an) == (wanted if rarer else known)
        assert ("niet vaker" in told(answer)) is not rarer
    assert an.may().may


def test_how_often_is_asked_of_who_receives_it_and_nowhere_else(paced: House) -> None:
    """MIN-01: not on the form, not for what is off, not for an unknown word; it goes when she is forgotten there."""
    an = Reader(paced, "an.vandenberg@lezer.example")
    assert "pace" not in html(paced.client.get("/subscribe"))
    an.signs_up("newsletter", pace="weekly")
    paced.clock.forward(minutes=2)
    an.confirms()
    assert someone(an).fields == {}
    chooses(an, fresh_link(an), "hourly")
    assert someone(an).fields == {}
    paced.clock.forward(minutes=1)
    an.one_click()
    assert 'name="often-newsletter"' not in html(paced.client.get(fresh_link(an)))
    chooses(an, fresh_link(an), "weekly")
    assert someone(an).fields == {}


@pytest.mark.parametrize(
    ("old", "new", "row"),
    [
        ('purposes = ["newsletter"]\nneed', 'purposes = ["newsletter", "offers"]\nneed', "PRF-01"),
        ('choices = ["weekly", "monthly"]', 'choices = ["usual", "weekly", "monthly"]', "PRF-01"),
        (', en = "once a month"', "", "CAP-08"),
        ("choice_names.monthly", "choice_names.yearly", "MIN-01"),
        ('sample.nl = "issue.pdf"', 'sample.nl = "issue.html"', "PRF-01"),
        ('sample.nl = "issue.pdf"', 'sample.nl = "../issue.pdf"', "PRF-01"),
        ('sample.nl = "issue.pdf"', 'sample.nl = "gone.pdf"', "PRF-01"),
        ('sample.nl = "issue.pdf"', 'sample.nl = "http://krant.example/issue"', "PRF-01"),
        ('sample.nl = "issue.pdf"\n', "", "PRF-01"),
    ],
)
def test_a_policy_that_cannot_be_kept_is_refused(policy_folder: Path, old: str, new: str, row: str) -> None:
    """PRF-01: what is offered is one purpose's, rarer than what was agreed to, named in each language; a sample can be
    shown and cannot run on our pages."""
    file = policy_folder / "policy.toml"
    text = file.read_text().replace(
        '[purposes.at.memory]\nlist = "newsletter"', SAMPLE + '[purposes.at.memory]\nlist = "newsletter"'
    )
    (policy_folder / "issue.pdf").write_bytes(b"%PDF-1.7")
    (policy_folder / "issue.html").write_text("<script>")
    file.write_text(text + RHYTHM)
    load(file)
    assert old in text + RHYTHM
    file.write_text((text + RHYTHM).replace(old, new))
    with pytest.raises(PolicyError) as refused:
        load(file)
    assert any(f" {row}: " in problem for problem in refused.value.problems), refused.value.problems


def test_a_reader_may_look_at_an_issue_first(paced: House) -> None:
    """PRF-01: what each topic is, how often it comes and what an issue looks like; a file is shown as what it is, and
    the operator's own site learns nothing of where she came from."""
    an = Reader(paced, "an.vandenberg@lezer.example")
    an.has_consented("newsletter")
    dutch, english = (html(paced.client.get(f"{old_link(an)}?language={code}")) for code in ("nl", "en"))
    assert '<a href="/samples/newsletter/nl" rel="noreferrer">' in dutch
    assert '<a href="https://www.dedagwijzer.example/issue" rel="noreferrer">' in english
    issue = paced.client.get("/samples/newsletter/nl")
    issue.close()
    assert (issue.status_code, issue.mimetype, issue.content_length) == (200, "application/pdf", 17)
    for path in ("newsletter/en", "offers/nl", "horoscope/nl", "newsletter/xx", "../policy.toml"):
        assert paced.client.get(f"/samples/{path}").status_code == 404


# -- a mistaken stop ---------------------------------------------------------------------------------------------


def undo_of(page: str) -> list[str]:
    """What the page offers to undo."""
    return [value for name, value in Fields(page).hidden if name == "undo"]


def test_a_mistaken_stop_is_undone_by_a_mail_and_by_nothing_else(house: House, an: Reader) -> None:
    """PRF-04, WDR-14: the page that answers a stop offers the question by mail; pressing it switches nothing on,
    whoever presses, however often; her own confirmation does, as a new yes with a new proof."""
    an.has_consented("newsletter", "offers")
    house.clock.forward(days=1)
    link = stop_link(an, "")
    answer = html(house.client.post(link, data={"scope": "all"}))
    assert undo_of(answer) == ["newsletter", "offers"]
    assert answer.index("Was dit een vergissing") > answer.index("<h1"), "what happened comes first"
    old = "/preferences/" + link.removeprefix("/u/")
    house.clock.forward(seconds=20)
    mails = len(an.mails())
    for _ in range(2):
        pressed = house.client.post(old, data={"undo": ["newsletter", "offers"]})
        assert "hebben je een mail gestuurd" in told(html(pressed))
    house.dispatch()
    assert not an.may("newsletter").may
    assert not an.is_on("newsletter")
    assert (an.status("newsletter"), an.status("offers")) == (Status.WITHDRAWN, Status.WITHDRAWN)
    assert 0 < len(an.mails()) - mails <= 2

    house.clock.forward(seconds=20)
    assert an.confirms().status_code == 200
    house.dispatch()
    assert an.may("newsletter").may
    assert an.is_on("offers")
    given = an.story()[-1]
    assert (given.type, given.method, given.channel) == (EventType.GIVEN, Method.CONFIRM_PAGE, "preferences")


def test_undo_also_behind_a_fresh_link_and_only_what_she_stopped(house: House, an: Reader) -> None:
    """PRF-04: of two topics one is stopped: that one is offered; the later look at the page offers none."""
    an.has_consented("newsletter", "offers")
    house.clock.forward(minutes=5)
    link = fresh_link(an)
    answer = html(an.saves(link, "newsletter"))
    assert undo_of(answer) == ["offers"]
    assert undo_of(html(house.client.get(link))) == []
    house.clock.forward(seconds=5)
    house.client.post(link, data={"undo": "offers"})
    assert types(an)[-1] == (EventType.REQUESTED, "offers"), "by mail, whatever the link could do"
    assert not an.may("offers").may
    assert an.status("newsletter") is Status.GIVEN


def test_a_no_to_all_for_good_is_no_slip(house: House, an: Reader) -> None:
    """RGT-06, R5: what she objected to, complained of or left at a platform is not offered back."""
    an.has_consented("newsletter")
    house.clock.forward(minutes=1)
    house.hear(an.told_by_esp(EventType.COMPLAINED))
    house.clock.forward(minutes=1)
    answer = html(house.client.post(stop_link(an, ""), data={"scope": "all"}))
    assert undo_of(answer) == []


def test_what_a_stop_took_is_the_same_in_any_order() -> None:
    """PRF-04, decision 3: pressed twice, in any order of arrival: what was on before the first press."""
    house = _told(
        (EventType.GIVEN, Method.CONFIRM_PAGE, "news", 1),
        (EventType.WITHDRAWN, Method.ONE_CLICK, "old", 2),
        (EventType.WITHDRAWN, Method.UNSUBSCRIBE_PAGE, "news", 5000),
        (EventType.WITHDRAWN, Method.PREFERENCE_LINK, "", 5060),
    )
    for events in permutations(house):
        assert taken(events, ["news", "old"]) == ["news"]
    for only in house[1:3]:
        assert taken([only], ["news", "old"]) == []
    given_again = _told((EventType.GIVEN, Method.CONFIRM_PAGE, "news", 9000))
    assert taken([*house, *given_again], ["news"]) == []
    assert status([*house, *given_again], "news") in MAILABLE


def _told(*said: tuple[EventType, Method, str, int]) -> list[ConsentEvent]:
    from datetime import UTC, datetime, timedelta

    start = datetime(2026, 11, 23, 10, tzinfo=UTC)
    return [
        ConsentEvent(
            type=kind,
            subject="s",
            time=start + timedelta(seconds=at),
            received=start + timedelta(seconds=at),
            source=READER,
            method=method,
            key=f"{kind}{at}",
            purpose=purpose,
            asked=start + timedelta(seconds=at - 1),
        )
        for kind, method, purpose, at in said
    ]


# -- what happened, what is known, what comes next ---------------------------------------------------------------


def test_what_happened_is_told_in_plain_words(house: House, an: Reader) -> None:
    """PRF-01: "you said yes ... on the form at the foot of our website", newest first, in her language; a question and
    its answer are one line."""
    an.has_consented("newsletter")
    house.clock.forward(days=1)
    house.client.post(fresh_link(an), data={"pause_until": "2026-12-24"})
    house.clock.forward(days=1)
    an.one_click()
    page = html(house.client.get(f"{fresh_link(an)}?language=en"))
    listed = re.search(r'<ul class="history">(.*?)</ul>', page, re.DOTALL)
    assert listed
    lines = [" ".join(unescape(re.sub("<[^>]+>", " ", line)).split()) for line in listed[1].split("</li>")][:-1]

    assert lines == [
        "25 November 2026 at 11:04 You stopped “Newsletter” with the unsubscribe button of your mail program.",
        "24 November 2026 at 11:04 You asked for no mail until 24 December 2026.",
        "23 November 2026 at 11:02 You said yes to “Newsletter”, through the form at the foot of our website, and "
        "confirmed it from your mailbox.",
    ]
    dutch = unescape(html(house.client.get(fresh_link(an))))
    assert "Je hebt ja gezegd tegen “Nieuwsbrief”, via het formulier onderaan onze website" in dutch
    assert "your e-mail address: a•••@l•••.example" in page
    assert an.email not in page


def test_everything_that_can_happen_has_its_words(home: House) -> None:
    """PRF-01: each kind of event by each road, for one topic and for all, in each language: a plain sentence, and no
    gap in it."""
    policy, texts = home.bridge.policy, home.bridge.texts
    assert {kind if isinstance(kind, EventType) else kind[0] for kind in SAID} | UNTOLD == set(EventType)
    assert set(BY_GUARDIAN) <= set(EventType)
    (base,) = _told((EventType.GIVEN, Method.FORM, "newsletter", 1))
    for kind in set(EventType) - UNTOLD:
        for method in Method:
            for change in ({}, {"purpose": ""}, {"source": GUARDIAN}, {"channel": "footer"}, {"purpose": "gone"}):
                event = msgspec.structs.replace(base, type=kind, method=method, until=base.time, **change)
                event = msgspec.structs.replace(event, evidence=Evidence(detail="language"))
                for language in policy.languages:
                    (line,) = remembered(policy, texts, [event], language)
                    assert len(line.words) > 10
                    assert "%(" not in line.words
                    assert "None" not in line.words


def test_a_stop_says_what_comes_next_and_when_each_platform_heard(house: House, an: Reader) -> None:
    """WDR-11: at once, that it counted and that platforms are told; after a look, the second at which each stopped.
    Behind an old link no platform and no time of theirs is told."""
    an.has_consented("newsletter")
    house.dispatch()
    house.clock.forward(days=1)
    link = fresh_link(an)
    answer = html(house.client.post(f"{link}?language=en", data={"stop": "all"}))
    assert "What happens next" in answer
    assert "Here it counted at 11:04:00, when you pressed the button." in answer
    assert "An ESP in memory is told now." in answer
    assert "deleted after 30 days" in answer
    house.clock.forward(seconds=7)
    house.dispatch()
    assert "An ESP in memory confirmed at 11:04:07" in html(house.client.get(f"{link}?language=en"))
    again = html(house.client.post(f"{old_link(an)}?language=en", data={"stop": "all"}))
    assert "What happens next" in again
    assert "ESP in memory" not in again


def test_a_new_link_comes_without_typing(house: House, an: Reader) -> None:
    """PRF-03: whoever holds an old link has a fresh one mailed to the reader: to her mailbox, never to the page."""
    an.has_consented("newsletter")
    house.clock.forward(minutes=10)
    page = html(house.client.post(old_link(an), data={"link": "mail"}))
    assert not re.search(r"/preferences/\w", page)
    link = an.link("/preferences/")
    assert link != old_link(an)
    assert state(html(house.client.get(f"{link}?language=en")), "newsletter") == "On"
