"""What became of whoever was asked once more, counted by wave; people who are no longer here as what they were."""

from collections import Counter
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select, update

from bridge.decide import FOR_ALL
from bridge.tables import asked, events, names, waves
from bridge.vocabulary import EVERY_PURPOSE, EventType

#: What is kept of people who are no longer here: columns of `waves`.
KEPT = ("yes", "no", "complained", "bounced", "removed")

#: Campaign and wave.
Place = tuple[str, int]


class Funnel(msgspec.Struct, frozen=True, kw_only=True):
    """How many were asked, and what became of each: these add up."""

    asked: int = 0  # the mail was promised
    unsent: int = 0  # it has not left yet
    yes: int = 0
    no: int = 0
    complained: int = 0
    bounced: int = 0
    silent: int = 0  # time to answer is left
    removed: int = 0  # here no longer, without an answer

    @property
    def delivered(self) -> int:
        """Mails that left and did not come back, so far."""
        return self.asked - self.unsent - self.bounced


def funnel(counts: Counter[str]) -> Funnel:
    """Counts as a funnel."""
    return Funnel(asked=counts.total(), **counts)


def tally(db: Connection, *where: ColumnElement[bool]) -> dict[Place, Counter[str]]:
    """What became of those of these rows of `asked` whose people are here, and of those who never got the mail."""
    each = _each(*where).subquery()
    said = case(
        (each.c.complained == 1, "complained"),
        (and_(each.c.yes.is_not(None), or_(each.c.no.is_(None), each.c.yes < each.c.no)), "yes"),
        (each.c.no.is_not(None), "no"),
        (or_(each.c.returned, each.c.dead == 1), "bounced"),
        (each.c.ended == 1, "removed"),
        (each.c.sent.is_(None), "unsent"),
        else_="silent",
    ).label("said")
    found: dict[Place, Counter[str]] = {}
    query = select(each.c.campaign, each.c.wave, said, func.count()).group_by(each.c.campaign, each.c.wave, said)
    for campaign, wave, what, count in db.execute(query):
        found.setdefault((campaign, wave), Counter())[what] += count
    return found


def kept(db: Connection, campaign: str) -> dict[int, Counter[str]]:
    """What is kept of the people of each wave who are no longer here."""
    query = select(waves.c.wave, *(waves.c[name] for name in KEPT)).where(waves.c.campaign == campaign)
    return {row.wave: Counter({name: getattr(row, name) for name in KEPT}) for row in db.execute(query)}


def forget(db: Connection, *where: ColumnElement[bool]) -> None:
    """Let go of who was asked: only hash, purpose and time stay, so that nobody is asked again; and the numbers."""
    mine = and_(asked.c.campaign.is_not(None), *where)
    for (campaign, wave), counts in sorted(tally(db, mine).items()):
        counts["removed"] += counts["silent"] + counts["unsent"]
        row = and_(waves.c.campaign == campaign, waves.c.wave == wave)
        db.execute(update(waves).where(row).values({name: waves.c[name] + counts[name] for name in KEPT}))
    gone = dict.fromkeys(("campaign", "wave", "subject", "mail", "sent", "due"))
    db.execute(update(asked).where(mine).values(**gone, returned=False))


def _each(*where: ColumnElement[bool]) -> Any:
    """Each row with what its person said since: when she first said yes and no, and whether anything else was heard."""
    about = events.c.purpose == names.c.number
    whole = events.c.purpose == _number(EVERY_PURPOSE)
    stops = events.c.type.in_([EventType.REFUSED.value, EventType.WITHDRAWN.value, EventType.UNSUBSCRIBED.value])
    no = or_(events.c.type.in_([kind.value for kind in FOR_ALL]), and_(stops, or_(about, whole)))
    since = and_(events.c.subject == asked.c.subject, events.c.time >= asked.c.time)
    told = asked.outerjoin(names, names.c.text == asked.c.purpose).outerjoin(events, since)
    return (
        select(
            asked.c.campaign,
            asked.c.wave,
            asked.c.sent,
            asked.c.returned,
            func.min(case((and_(_is(EventType.GIVEN), about), events.c.time))).label("yes"),
            func.min(case((no, events.c.time))).label("no"),
            func.max(case((_is(EventType.COMPLAINED), 1), else_=0)).label("complained"),
            func.max(case((_is(EventType.BOUNCED), 1), else_=0)).label("dead"),
            func.max(case((and_(_is(EventType.INVALIDATED), about), 1), else_=0)).label("ended"),
        )
        .select_from(told)
        .where(asked.c.campaign.is_not(None), *where)
        .group_by(asked.c.hash)
    )


def _is(kind: EventType) -> ColumnElement[bool]:
    return events.c.type == kind.value


def _number(text: str) -> Any:
    other = names.alias()
    return select(other.c.number).where(other.c.text == text).scalar_subquery()
