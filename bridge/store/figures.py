"""What each channel brought, in numbers of people: a few statements over the clear columns, whatever is in the store.

A person belongs to the channel that her last yes came by; without a yes to the one a list brought her by, else to the
one she asked by. The preference page counts only for whom nothing else is known: she was here before. A bounce or a
complaint names no channel: it counts for the one she belongs to (CHN-06).
"""

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
from sqlalchemy import func, select

from bridge.store.engine import Database
from bridge.store.forgetting import QUESTIONS, quarantined
from bridge.store.names import Names
from bridge.store.sql import Sql
from bridge.tables import EVENT_TYPES, STATUSES
from bridge.vocabulary import PREFERENCES, EventType, Status, micros

#: Where people stand, best first: of several topics the best counts. Who waits is nobody's contact yet.
STATES = ("on", "waiting", "left", "ended", "without_proof")
_STATE_OF: Mapping[Status, str] = {
    Status.GIVEN: "on",
    Status.SOFT_OPT_IN: "on",
    Status.REQUESTED: "waiting",
    Status.REFUSED: "left",
    Status.WITHDRAWN: "left",
    Status.OBJECTED: "left",
    Status.EXPIRED: "ended",
    Status.REVOKED: "ended",
    Status.INVALIDATED: "ended",
    Status.UNKNOWN: "without_proof",
}
#: Proofs are sorted by age: younger than each of these, in months, or older than all.
AGES = (6, 12, 24, 36)


class Figures(msgspec.Struct, kw_only=True):
    """What one channel brought. All are people, but for `ages`: those are proofs, one for each topic she is on for."""

    people: int = 0  # who belong to it; those who wait for their confirmation are not among them
    states: dict[str, int] = {}  # the same by where they stand
    complained: int = 0
    bounced: int = 0
    asked: int = 0  # by its form, whose time to confirm is over or who confirmed; also those who are gone
    confirmed: int = 0  # of these
    roads: dict[
        str, int
    ] = {}  # confirmed sign-ups by road, also of people who are gone; of presses, how many were held
    ages: tuple[int, ...] = (0,) * (len(AGES) + 1)


class Quarantine(NamedTuple):
    """People of whom only a third party's list told."""

    people: int
    overdue: int  # kept for longer than may be


def _types(*types: EventType) -> str:
    return ", ".join(str(EVENT_TYPES.index(type_) + 1) for type_ in types)


_YES, _LIST = _types(EventType.GIVEN, EventType.ENROLLED), _types(EventType.IMPORTED)
_ASKED = _types(EventType.REQUESTED)
_LIVE = ", ".join(str(STATUSES.index(status) + 1) for status in (Status.GIVEN, Status.SOFT_OPT_IN))
#: In the last 15 bits of a number stands the channel, above it how much an event says of where she came from.
_CHANNEL = 32767
_RANK = (
    f"CASE WHEN type IN ({_YES}) THEN 3 WHEN type = {_LIST} THEN 2 ELSE 1 END + CASE WHEN channel = ? THEN 0 ELSE 3 END"
)
_CAME_BY = (
    f"MAX(CASE WHEN channel IS NULL OR type NOT IN ({_YES}, {_LIST}, {_ASKED}) THEN 0 "
    f"ELSE (({_RANK}) * CAST(1000000000 AS BIGINT) + number) * {_CHANNEL + 1} + channel END)"
)
_STATE = (
    "MIN(CASE status "
    + " ".join(f"WHEN {STATUSES.index(status) + 1} THEN {STATES.index(state)}" for status, state in _STATE_OF.items())
    + f" ELSE {STATES.index('without_proof')} END)"
)
_PEOPLE = Sql(
    f"WITH told AS (SELECT subject, {_CAME_BY} AS came, "
    f"MAX(CASE WHEN type = {_types(EventType.COMPLAINED)} THEN 1 ELSE 0 END) AS complained, "
    f"MAX(CASE WHEN type = {_types(EventType.BOUNCED)} THEN 1 ELSE 0 END) AS bounced "
    "FROM events WHERE subject IS NOT NULL GROUP BY subject), "
    f"stands AS (SELECT subject, {_STATE} AS state FROM records GROUP BY subject) "
    f"SELECT COALESCE(t.came, 0) & {_CHANNEL} AS channel, COALESCE(r.state, {STATES.index('without_proof')}) AS state, "
    "COUNT(*), COALESCE(SUM(t.complained), 0), COALESCE(SUM(t.bounced), 0) "
    "FROM subjects s LEFT JOIN told t ON t.subject = s.number LEFT JOIN stands r ON r.subject = s.number GROUP BY 1, 2"
)
_QUESTIONS = Sql(
    f"SELECT channel, COUNT(*), SUM(confirmed) FROM ({QUESTIONS}IS NOT NULL GROUP BY channel, subject) q "
    "WHERE asked > 0 AND (confirmed = 1 OR asked < ?) GROUP BY channel"
)
_GONE = Sql("SELECT channel, count, confirmed FROM unanswered")
_ROADS = Sql("SELECT channel, road, count FROM confirm_roads")
_AGES = Sql(
    f"SELECT COALESCE((SELECT MAX(CAST(e.number AS BIGINT) * {_CHANNEL + 1} + e.channel) FROM events e "
    f"WHERE e.subject = r.subject AND e.purpose = r.purpose AND e.type IN ({_YES}) "
    f"AND (e.time = r.since OR e.received = r.since)), 0) & {_CHANNEL} AS channel, CASE "
    + " ".join(f"WHEN r.since >= ? THEN {place}" for place, _ in enumerate(AGES))
    + f" ELSE {len(AGES)} END AS age, COUNT(*) FROM records r WHERE r.status IN ({_LIVE}) GROUP BY 1, 2"
)


def by_channel(database: Database, names: Names, now: datetime, asked_before: datetime) -> dict[str, Figures]:
    """The figures of every channel that ever brought anybody; "" for those who came by none.

    Whoever asked at `asked_before` or later may still confirm, and is counted when that is over.
    """
    preferences = names.number(PREFERENCES)
    limits = [micros(now - timedelta(days=months * 365.25 / 12)) for months in AGES]
    found: dict[int, Figures] = {}

    def of(channel: int) -> Figures:
        return found.setdefault(channel, Figures(states=dict.fromkeys(STATES, 0), roads={}))

    with database.reading() as db:
        for channel, state, count, complained, bounced in _PEOPLE.rows(db, (preferences,)):
            mine = of(channel)
            mine.states[STATES[state]] += count
            if STATES[state] != "waiting":
                mine.people += count
                mine.complained += int(complained)
                mine.bounced += int(bounced)
        for channel, asked, confirmed in _QUESTIONS.rows(db, (micros(asked_before),)):
            of(channel).asked, of(channel).confirmed = asked, int(confirmed)
        for channel, count, confirmed in _GONE.rows(db):
            of(channel).asked += count + confirmed
            of(channel).confirmed += confirmed
        for channel, road, count in _ROADS.rows(db):
            of(channel).roads[road] = int(count)
        ages = Counter[tuple[int, int]]()
        for channel, age, count in _AGES.rows(db, limits):
            ages[channel, age] += count
        for channel in {channel for channel, _ in ages}:
            of(channel).ages = tuple(ages[channel, age] for age in range(len(AGES) + 1))
        return {names.text(db, number) if number else "": figures for number, figures in found.items()}


def in_quarantine(
    database: Database, channels: Collection[int], asked_since: datetime, overdue: datetime
) -> Quarantine:
    """How many people only third parties' lists told of, by channels of these numbers."""
    if not channels:
        return Quarantine(0, 0)
    with database.reading() as db:
        counts = [
            db.scalar(select(func.count()).select_from(quarantined(channels, asked_since, before).subquery())) or 0
            for before in (None, overdue)
        ]
    return Quarantine(*counts)
