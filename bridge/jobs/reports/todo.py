"""What is to be done, by whom, and how pressing it is: from the register, the policy, the store and the clock.

Red breaks a duty or a promise to readers today; amber will. Numbers of people are told as everywhere in a report.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

from bridge.bootstrap import Bridge
from bridge.jobs.breach.papers import clock_of
from bridge.jobs.reports.marketing import totals
from bridge.policy.gaps import Gap, GapKind, gaps
from bridge.store.clocks import ALERT, CEILING
from bridge.store.rotate import used
from bridge.texts import mark

#: Areas of the traffic light, in its order, with what they are called.
AREAS = {
    "breach": mark("Breaches"),
    "requests": mark("Requests of people"),
    "stops": mark("Stops reach the platforms"),
    "proof": mark("Proof of consent"),
    "third_parties": mark("Third parties"),
    "papers": mark("Assessments"),
    "channels": mark("Forms and channels"),
    "complaints": mark("Complaints"),
    "technique": mark("Technique"),
    "second": mark("Acts that wait for a second person"),
}
_ORDER = {"red": 0, "amber": 1}
_LATE_WORK = timedelta(minutes=15)
_OLD_BACKUP = timedelta(days=7)
_OLD_KEY = timedelta(days=731)
#: So many gaps of one thing are named; the registers have them all.
_NAMED = 4


class Todo(NamedTuple):
    """One thing to do."""

    risk: str  # red or amber
    area: str
    what: str
    owner: str
    department: str  # that does it


def todo(bridge: Bridge, language: str) -> list[Todo]:
    """Everything, the most pressing first."""
    found = [
        *_breaches(bridge, language),
        *_requests(bridge, language),
        *_stops(bridge, language),
        *_proof(bridge, language),
        *_papers(bridge, language),
        *_complaints(bridge, language),
        *_technique(bridge, language),
        *_second(bridge, language),
    ]
    areas = list(AREAS)
    return sorted(found, key=lambda one: (_ORDER[one.risk], areas.index(one.area)))


def lights(found: list[Todo]) -> dict[str, str]:
    """The colour of each area: that of its worst thing."""
    return {
        area: min((one.risk for one in found if one.area == area), key=_ORDER.__getitem__, default="green")
        for area in AREAS
    }


def _breaches(bridge: Bridge, language: str) -> Iterator[Todo]:
    say, contact = bridge.texts.gettext, bridge.policy.contact.name
    for breach in bridge.store.breaches.all():
        if breach.closed:
            continue
        clock = clock_of(bridge, breach)
        if clock.overdue:
            words = say(
                language,
                "Breach %(number)s: the authority should have heard of it by %(moment)s (GDPR 33).",
                number=breach.number,
                moment=bridge.texts.moment(language, clock.due),
            )
        elif clock.stopped:
            words = say(language, "Breach %(number)s is open: close it once it is over.", number=breach.number)
        else:
            words = say(
                language,
                "Breach %(number)s: the authority must hear of it by %(moment)s (GDPR 33).",
                number=breach.number,
                moment=bridge.texts.moment(language, clock.due),
            )
        yield Todo("amber" if clock.stopped else "red", "breach", words, contact, "management")


def _requests(bridge: Bridge, language: str) -> Iterator[Todo]:
    say, contact, now = bridge.texts.gettext, bridge.policy.contact.name, bridge.clock()
    late, soon = (sum(found.values()) for found in (bridge.store.cases.overdue(now), bridge.store.cases.due_soon(now)))
    if late:
        words = say(language, "Requests of people that should have been answered: %(count)s (GDPR 12(3)).", count=late)
        yield Todo("red", "requests", words, contact, "support")
    if soon:
        words = say(language, "Requests of people that are due within three days: %(count)s.", count=soon)
        yield Todo("amber", "requests", words, contact, "support")


def _stops(bridge: Bridge, language: str) -> Iterator[Todo]:
    say = bridge.texts.gettext
    for adapter in bridge.settings.adapters:
        found = bridge.store.stop_times(adapter)
        for count, limit, risk in ((found.broken, CEILING, "red"), (found.late - found.broken, ALERT, "amber")):
            if count:
                hours = int(limit.total_seconds() // 3600)
                words = say(
                    language,
                    "%(name)s has not carried out %(count)s stops that are older than %(hours)s h.",
                    name=bridge.policy.sender(adapter),
                    count=count,
                    hours=hours,
                )
                yield Todo(risk, "stops", words, _it(bridge, language), "it")


def _proof(bridge: Bridge, language: str) -> Iterator[Todo]:
    say = bridge.texts.gettext
    told = totals(bridge)
    if told["without_proof"] != 0:
        words = say(
            language,
            "People without proof: %(count)s of %(people)s. Nobody may mail them: find the proof, or delete them.",
            count=bridge.texts.counted(language, told["without_proof"]),
            people=bridge.texts.counted(language, told["people"]),
        )
        owner = say(language, mark("Marketing"))
        yield Todo("amber", "proof", words, owner, "marketing")
    if others := bridge.third_parties:
        overdue = bridge.store.in_quarantine(others).overdue
        if overdue:
            words = say(language, "People of a third party’s list are kept for more than a month (GDPR 14).")
            yield Todo("red", "proof", words, say(language, mark("Sales")), "sales")


def _papers(bridge: Bridge, language: str) -> Iterator[Todo]:
    say, policy = bridge.texts.gettext, bridge.policy
    today = bridge.clock().astimezone(policy.zone).date()
    areas = {
        GapKind.PROCESSOR: ("third_parties", policy.contact.name, "management"),
        GapKind.ASSESSMENT: ("papers", policy.contact.name, "management"),
        GapKind.CHANNEL: ("channels", "", "marketing"),
    }
    missing: dict[str, list[Gap]] = {}
    for gap in gaps(policy, today):
        area, owner, department = areas[gap.kind]
        table, key, *_ = gap.where.split(".")
        if gap.overdue is None:
            missing.setdefault(f"{table}.{key}", []).append(gap)
            continue
        what = gap.where
        if gap.kind is GapKind.CHANNEL:
            owner, what = policy.channels[key].owner, policy.channels[key].place[language]
        day = bridge.texts.day(language, gap.overdue)
        words = say(language, "Review overdue since %(day)s: %(what)s.", day=day, what=what)
        yield Todo("red" if gap.blocks else "amber", area, words, owner, department)
    for where, found in missing.items():
        area, owner, department = areas[found[0].kind]
        parts = [gap.where.removeprefix(where).lstrip(".") for gap in found]
        lacks = ", ".join(part for part in parts[:_NAMED] if part) + (", …" if len(parts) > _NAMED else "")
        words = say(language, "Missing in the policy: %(where)s.", where=f"{where} ({lacks})" if lacks else where)
        yield Todo("red" if any(gap.blocks for gap in found) else "amber", area, words, owner, department)


def _complaints(bridge: Bridge, language: str) -> Iterator[Todo]:
    say, now = bridge.texts.gettext, bridge.clock()
    today = now.astimezone(bridge.policy.zone).date()
    limits = bridge.policy.limits_
    rates = bridge.store.complaints.rates(today - timedelta(days=1), today)
    high = [r for r in rates if r.percent >= limits.complaint_warn and r.complaints >= limits.complaint_least]
    for rate in high:
        words = say(
            language,
            "%(share)s of the readers of %(purpose)s pressed “spam” on %(day)s.",
            share=bridge.texts.percent(language, rate.percent / 100),
            purpose=bridge.policy.purposes[rate.purpose].name[language]
            if rate.purpose in bridge.policy.purposes
            else rate.purpose,
            day=bridge.texts.day(language, rate.day),
        )
        risk = "red" if rate.percent >= limits.complaint_stop else "amber"
        yield Todo(risk, "complaints", words, say(language, mark("Marketing")), "marketing")


def _technique(bridge: Bridge, language: str) -> Iterator[Todo]:
    say, now, owner = bridge.texts.gettext, bridge.clock(), _it(bridge, language)
    for queue in bridge.store.departments.queues():
        if queue.oldest and now - queue.oldest > _LATE_WORK and not queue.name.endswith(" erasures"):
            words = say(
                language,
                "Work waits for %(name)s since %(moment)s: is the dispatcher running?",
                name=say(language, mark("mails")) if queue.name == "mail" else bridge.policy.sender(queue.name),
                moment=bridge.texts.moment(language, queue.oldest),
            )
            yield Todo("amber", "technique", words, owner, "it")
    backup = bridge.store.departments.last_done().get("backup")
    if backup is None or now - backup > _OLD_BACKUP:
        words = mark("No backup is noted of the last seven days: consent-bridge backup FILE.")
        yield Todo("amber", "technique", say(language, words), owner, "it")
    since = used(bridge.database)
    for ring, keys in (("link", bridge.settings.link_keys), ("vault", bridge.settings.vault_keys)):
        newest = next(key for key in keys if not key.waits)
        began = since.get((ring, newest.kid))
        if began and now - began > _OLD_KEY:
            words = say(language, "The %(ring)s key is older than two years: make a new one.", ring=ring)
            yield Todo("amber", "technique", words, owner, "it")


def _second(bridge: Bridge, language: str) -> Iterator[Todo]:
    waiting = bridge.store.approvals.waiting()
    if waiting:
        words = mark("Acts that wait for a second person: %(count)s, the oldest since %(day)s.")
        day = bridge.texts.day(language, waiting[0].asked)
        told = bridge.texts.gettext(language, words, count=len(waiting), day=day)
        yield Todo("amber", "second", told, bridge.policy.contact.name, "management")


def _it(bridge: Bridge, language: str) -> str:
    return bridge.texts.gettext(language, mark("IT"))
