"""An old list: the people a stranger's first day begins with, as both ESPs have held them for years.

They are those of the sample exports, and nobody is told of them: what happened, happened before anybody listened.
"""

from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from adapters.sandbox.mailchimp_audience import Audience, Listed, hashed
from adapters.sandbox.sendgrid import SendGrid
from adapters.sandbox.sendgrid_contacts import Contact

#: Mailchimp's exports write times of this place.
ZONE = ZoneInfo("Europe/Brussels")


class Member(NamedTuple):
    """One of Mailchimp's."""

    email: str
    status: str
    since: str
    changed: str
    gets: tuple[str, ...] = ("newsletter",)
    left: str = ""  # when she unsubscribed, where she came back after it


class Stop(NamedTuple):
    """An entry of SendGrid's lists of whom it does not mail; seconds since 1970."""

    email: str
    created: int
    status: str = ""
    reason: str = ""


MEMBERS = (
    Member("an.peeters@lezer.example", "subscribed", "2023-03-08 09:14:02", "2026-10-01 07:00:11"),
    Member("Bram.DeVries@Lezer.example", "subscribed", "2019-01-15 16:40:00", "2026-09-12 12:30:00"),
    Member("carla@bücher.example", "subscribed", "2026-03-01 00:04:10", "2026-03-01 00:04:10"),
    Member(
        "dirk@lezer.example", "subscribed", "2024-07-01 10:00:00", "2024-07-01 10:00:00", left="2023-02-02 11:11:11"
    ),
    Member("lotte@lezer.example", "subscribed", "2025-01-20 08:17:02", "2026-11-02 06:30:00", ("newsletter", "offers")),
    Member("karim@post.example", "subscribed", "2025-02-11 19:41:55", "2026-11-02 06:30:00", ("newsletter", "offers")),
    Member(
        "sofie.wouters@lezer.example",
        "subscribed",
        "2025-05-04 10:03:09",
        "2026-11-02 06:30:00",
        ("newsletter", "offers"),
    ),
    Member("joris@bedrijf.example", "subscribed", "2025-09-17 12:31:48", "2026-11-02 06:30:00"),
    Member("noor@post.example", "subscribed", "2026-01-09 21:06:00", "2026-11-02 06:30:00"),
    Member("pieter@lezer.example", "subscribed", "2026-04-22 08:02:37", "2026-11-02 06:30:00"),
    Member("yasmina@bedrijf.example", "subscribed", "2026-06-30 13:13:40", "2026-11-02 06:30:00"),
    Member("maria@post.example", "subscribed", "2024-10-05 15:20:00", "2026-11-02 06:30:00"),
    Member("gust@lezer.example", "subscribed", "2024-10-05 15:20:00", "2026-11-02 06:30:00"),
    Member("tine@post.example", "subscribed", "2022-11-14 09:00:00", "2026-11-02 06:30:00"),
    Member("wim@bedrijf.example", "subscribed", "2023-06-19 17:45:31", "2026-11-02 06:30:00"),
    Member("roos@lezer.example", "subscribed", "2020-05-11 11:12:20", "2026-11-02 06:30:00"),
    Member("stijn@post.example", "subscribed", "2024-03-03 18:30:00", "2026-11-02 06:30:00"),
    Member("fatima@lezer.example", "subscribed", "2024-08-26 14:02:10", "2026-11-02 06:30:00"),
    Member("luc@bedrijf.example", "subscribed", "2018-04-30 23:00:00", "2026-11-02 06:30:00"),
    Member("greet@post.example", "subscribed", "2018-04-30 23:00:00", "2026-11-02 06:30:00"),
    Member("hassan@bedrijf.example", "subscribed", "2021-02-17 20:18:44", "2026-11-02 06:30:00"),
    Member("ella@lezer.example", "subscribed", "2025-12-12 12:12:12", "2026-11-02 06:30:00"),
    Member("koen@post.example", "subscribed", "2026-07-07 06:59:59", "2026-11-02 06:30:00"),
    Member("ines@bedrijf.example", "subscribed", "2024-01-08 10:20:30", "2026-11-02 06:30:00"),
    Member("els@lezer.example", "unsubscribed", "2022-05-05 05:06:00", "2025-11-30 18:22:09"),
    Member("mark@post.example", "unsubscribed", "2020-09-01 09:30:00", "2024-12-24 08:00:03"),
    Member("petra@lezer.example", "unsubscribed", "2023-01-17 16:10:11", "2025-02-14 19:30:45"),
    Member("omar@bedrijf.example", "unsubscribed", "2021-08-08 08:09:00", "2025-06-01 07:15:20"),
    Member("lies@post.example", "unsubscribed", "2018-04-30 23:00:00", "2022-03-21 12:00:00"),
    Member("rik@bedrijf.example", "unsubscribed", "2024-05-13 15:47:12", "2026-08-19 20:20:20"),
    Member("fons@weg.example", "cleaned", "2020-02-29 12:00:00", "2024-08-08 08:08:08"),
    Member("oud@weg.example", "cleaned", "2019-10-10 10:10:10", "2023-01-05 06:00:12"),
    Member("verhuisd@weg.example", "cleaned", "2021-03-15 18:00:00", "2024-08-08 08:08:09"),
    Member("info@weg.example", "cleaned", "2018-04-30 23:00:00", "2022-10-11 06:00:07"),
    Member("stagiair@weg.example", "cleaned", "2022-07-01 09:00:00", "2025-03-03 06:00:31"),
    Member("bib@weg.example", "cleaned", "2018-04-30 23:00:00", "2025-03-03 06:00:32"),
)
#: SendGrid's contacts, all in the list of the newsletter: since when, and when they were changed last.
CONTACTS = (
    ("an.peeters@lezer.example", "2023-03-08T09:14:02Z", "2026-10-01T07:00:11Z"),
    ("guy@lezer.example", "2022-12-24T20:00:00Z", "2022-12-24T20:00:00Z"),
    ("lotte@lezer.example", "2025-01-20T07:17:02Z", "2026-11-02T05:30:00Z"),
    ("karim@post.example", "2025-02-11T18:41:55Z", "2026-11-02T05:30:00Z"),
    ("noor@post.example", "2026-01-09T20:06:00Z", "2026-11-02T05:30:00Z"),
    ("tine@post.example", "2022-11-14T08:00:00Z", "2026-11-02T05:30:00Z"),
    ("ines@bedrijf.example", "2024-01-08T09:20:30Z", "2026-11-02T05:30:00Z"),
    ("lead1@beurs.example", "2023-09-20T10:00:00Z", "2023-09-20T10:00:00Z"),
    ("lead2@beurs.example", "2023-09-20T10:00:00Z", "2023-09-20T10:00:00Z"),
    ("lead3@beurs.example", "2023-09-20T10:00:00Z", "2023-09-20T10:00:00Z"),
    ("lead4@beurs.example", "2023-09-20T10:00:00Z", "2023-09-20T10:00:00Z"),
    ("lead5@beurs.example", "2023-09-20T10:00:00Z", "2023-09-20T10:00:00Z"),
    ("nele@weg.example", "2023-09-20T10:00:00Z", "2023-09-20T10:00:00Z"),
)
UNSUBSCRIBES = (
    Stop("guy@lezer.example", 1735689600),
    Stop("hilde@lezer.example", 1751328000),
    Stop("ines@bedrijf.example", 1772442000),
    Stop("bea@post.example", 1718000000),
    Stop("jan@bedrijf.example", 1699999999),
)
BOUNCES = (
    Stop("fons@weg.example", 1723104488, "5.1.1", "550 5.1.1 The email account does not exist"),
    Stop("an.peeters@lezer.example", 1723104489, "4.2.2", "452 mailbox full"),
    Stop("guy@lezer.example", 1723104490, "5.7.1", "554 policy"),
    Stop("nele@weg.example", 1695211200, "5.1.1", "550 5.1.1 No such user"),
)


def at_mailchimp(audience: Audience) -> int:
    """Put them into the audience; who is there, or was deleted for good, stays so. How many came."""
    before = len(audience.members)
    for one in MEMBERS:
        key = hashed(one.email)
        if key in audience.members or key in audience.forgotten:
            continue
        stops = one.left or (one.changed if one.status == "unsubscribed" else "")
        audience.members[key] = Listed(
            one.email,
            one.status,
            compliance=one.status == "cleaned",
            interests=dict.fromkeys(filter(None, map(audience.interest, one.gets)), True),
            created=_local(one.since),
            last_changed=_local(one.changed),
            left=[_local(stops)] if stops else [],
        )
    return len(audience.members) - before


def at_sendgrid(esp: SendGrid) -> int:
    """The same for the account and its lists of whom it does not mail."""
    before = len(esp.contacts.all)
    everybody = next(one for one, name in esp.lists.items() if name == "newsletter")
    for email, since, changed in CONTACTS:
        if email not in esp.contacts.all and email not in esp.erased:
            created, updated = datetime.fromisoformat(since), datetime.fromisoformat(changed)
            esp.contacts.all[email] = Contact(email, lists={everybody}, created=created, updated=updated)
    for stop in UNSUBSCRIBES:
        esp.stops.everywhere.setdefault(stop.email, stop.created)
    for stop in BOUNCES:
        esp.stops.lists["bounces"].setdefault(stop.email, stop._asdict())
    return len(esp.contacts.all) - before


def _local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE).astimezone(UTC)
