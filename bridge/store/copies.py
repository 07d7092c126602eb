"""Backups: one consistent picture of the store in two files, and a store made of them again (decision 19).

The store's file holds no person's key. The keys' file holds the wrapped keys, the stop list, the journal of erasures,
requests by letter and whose address changed; only the newest one is kept. So an old store's file shows nobody who was
erased since, and a restored store knows every "no" that was told until the newest keys' file, and mails no address that
was left.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, BinaryIO, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    MetaData,
    and_,
    cast,
    column,
    delete,
    func,
    insert,
    inspect,
    literal_column,
    or_,
    select,
    table,
    text,
    update,
)
from sqlalchemy import Table as RealTable

from bridge.store import schema
from bridge.store.archive import BadCopy, Header, Reader, Writer, house_of, sections
from bridge.store.door import Stop, remember_stops
from bridge.store.engine import Database
from bridge.store.erase import erase, trace
from bridge.store.erasing import LONGEST_JOB
from bridge.store.forgetting import restricted
from bridge.store.funnel import forget
from bridge.store.rows import open_person
from bridge.store.sql import Hand
from bridge.tables import (
    asked,
    breach_notes,
    breach_told,
    breaches,
    campaigns,
    cases,
    comparisons,
    connections,
    erase_work,
    erasures,
    esp_jobs,
    events,
    keys_used,
    looks,
    metadata,
    names,
    outbox,
    person_keys,
    pushes,
    records,
    staff_log,
    stop_list,
    subjects,
    waves,
)
from bridge.vault import Hash, Sealed, Vault
from bridge.vocabulary import EventType, MailKind, Status, micros, rfc3339

Progress = Callable[[int, int], None]

#: What only the keys' file holds.
_APART = (person_keys, stop_list, erasures, erase_work, keys_used, campaigns, waves, asked, cases, staff_log)
#: Who was asked is known by the hash: numbers are others in another store, and mails are not sent again.
_WITHOUT_WHOM = [str(each.name) for each in asked.c if each.name not in ("subject", "mail")]
_STORE, _KEYS = "store", "keys"
_AT_ONCE = 500
_LIVE = (Status.GIVEN, Status.SOFT_OPT_IN)
#: A section of the keys' file that is no table: by which event of theirs, and when, the addresses of people changed
#: last, or their data was restricted that still is, in microseconds since 1970. Either may mislead alone: numbers after
#: a restore, times where the clock was off.
_MOVED = "moved"
#: Sent again after a restore, with the same Message-ID: the question she asked for herself (decision 25).
_REPEATED = "mail:confirm"
_BREACH = f"mail:{MailKind.BREACH}"


class Copied(NamedTuple):
    """What a backup holds."""

    made: datetime
    people: int
    events: int
    stops: int


class Restored(NamedTuple):
    """What became of a backup: see the words of `consent-bridge restore`."""

    made: str
    keys_made: str
    people: int
    events: int
    dark: int
    lost: int
    later: int
    stops: int
    mails_dropped: int
    pushes: int


def back_up(
    database: Database, key: bytes, files: tuple[BinaryIO, BinaryIO], now: datetime, progress: Progress
) -> Copied:
    """Write the store into one file and keys, stops and journal into the other, as they are at one moment.

    Nobody waits: both databases give a reader that moment while others write.
    """
    with database.reading() as db:
        kept = [each for each in metadata.sorted_tables if each is not looks]  # asked again by whoever wants to see it
        store = {str(each.name): ([str(c.name) for c in each.c], _count(db, each)) for each in kept}
        apart = {str(each.name): store.pop(each.name) for each in _APART}
        apart[person_keys.name] = (["id", "kid", "wrapped"], apart[person_keys.name][1])
        apart[asked.name] = (_WITHOUT_WHOM, apart[asked.name][1])
        apart[_MOVED] = (
            ["id", "number", "received"],
            db.scalar(select(func.count()).select_from(_moved().subquery())) or 0,
        )
        told: dict[str, Any] = {"made": rfc3339(now), "schema": schema.head(), "house": house_of(key)}
        total = sum(rows for _, rows in [*store.values(), *apart.values()])
        done = 0
        for kind, out, parts in ((_STORE, files[0], store), (_KEYS, files[1], apart)):
            writer = Writer(out, key, Header(kind=kind, sections=sections(parts), **told))
            for name, (columns, _) in parts.items():
                for rows in _rows(db, name, columns):
                    writer.rows(name, rows)
                    done += len(rows)
                    progress(done, total)
            writer.end()
    return Copied(now, store[subjects.name][1], store[events.name][1], apart[stop_list.name][1])


def restore(
    database: Database,
    vault: Vault,
    files: tuple[Reader, Reader],
    *,
    have: Mapping[str, Sequence[str]],
    adapters: Sequence[str],
    now: datetime,
    progress: Progress,
) -> Restored:
    """Make an empty database the store again, in one transaction: until it is done, nothing here can be opened.

    `have` are the ids of the keys that the settings hold, by ring.
    """
    store, keys = files
    _fit(store.header, keys, have)
    _mark(database)
    with database.writing() as db:
        schema.alone(db)
        if schema.current_of(db) != schema.RESTORING:
            raise BadCopy("another restore into this database has ended meanwhile")
        _clear(db)
        schema.migrate(db, store.header.schema)
        _load(db, store, progress)
        schema.migrate(db, schema.head())
        later, moved = _load_keys(db, keys)
        dark, lost = _darken(db, now)
        dropped = _calm(db, now)
        told = _tell_all(db, adapters, now)
        left = _left(db, moved, micros(datetime.fromisoformat(store.header.made)))
        people = _open_all(db, vault, left, now, progress)
        schema.keep_history(db)
        return Restored(
            made=store.header.made,
            keys_made=keys.header.made,
            people=people,
            events=_count(db, events),
            dark=dark,
            lost=lost,
            later=later,
            stops=_count(db, stop_list),
            mails_dropped=dropped,
            pushes=told,
        )


def open_pair(store: BinaryIO, keys: BinaryIO, key: bytes) -> tuple[Reader, Reader]:
    """Both files, read through and found whole."""
    pair = (Reader(store, "the backup", key, _STORE), Reader(keys, "the .keys file", key, _KEYS))
    for reader in pair:
        reader.check()
    return pair


# -- writing ----------------------------------------------------------------------------------------------------


def _rows(db: Connection, name: str, columns: Sequence[str]) -> Iterator[list[list[Any]]]:
    """A table's rows as the database has them, a few at a time."""
    if name == person_keys.name:  # by the random id, which stays what it is wherever the store lives
        mine: Any = select(subjects.c.id, person_keys.c.kid, person_keys.c.wrapped)
        query = mine.join(subjects, subjects.c.number == person_keys.c.subject).order_by(subjects.c.number)
    elif name == _MOVED:
        query = _moved()
    else:
        query = select(*[column(each) for each in columns]).select_from(table(name))
    yes_no = [at for at, each in enumerate(columns) if _is_boolean(name, each)]
    found = db.execution_options(yield_per=_AT_ONCE).execute(query)
    for part in found.partitions():
        rows = [list(row) for row in part]
        for at in yes_no:
            for row in rows:
                row[at] = None if row[at] is None else bool(row[at])
        yield rows


def _moved() -> Any:
    """People whose address changed, or whose data is restricted, and when we heard of it last."""
    heard = cast(func.coalesce(events.c.received, events.c.time), BigInteger)
    last = select(subjects.c.id, func.max(events.c.number), func.max(heard)).join(
        subjects, subjects.c.number == events.c.subject
    )
    held = and_(events.c.type == EventType.RESTRICTED, restricted(events.c.subject))
    return last.where(or_(events.c.type == EventType.MOVED, held)).group_by(subjects.c.id)


def _is_boolean(name: str, each: str) -> bool:
    known = metadata.tables.get(name)
    return known is not None and each in known.c and isinstance(known.c[each].type, Boolean)


def _count(db: Connection, each: RealTable) -> int:
    return db.scalar(select(func.count()).select_from(each)) or 0


# -- reading ----------------------------------------------------------------------------------------------------


def _fit(store: Header, keys: Reader, have: Mapping[str, Sequence[str]]) -> None:
    """Refuse what does not belong together, before anything is touched."""
    schema.known(store.schema)
    schema.known(keys.header.schema)
    if keys.header.made < store.made:
        raise BadCopy(
            f"the .keys file ({keys.header.made}) is older than the backup ({store.made}): who signed up between them "
            "would go dark, and who said no would be mailed; give the newest one with --keys"
        )
    used = set()
    for name, rows in keys.rows(person_keys.name, stop_list.name, erase_work.name, keys_used.name, cases.name):
        columns = keys.header.sections[name].columns
        told = [dict(zip(columns, row, strict=True)) for row in rows]
        used |= {(row.get("ring", "vault"), row["kid"]) for row in told if row["kid"] is not None}
    if missing := sorted(f"{ring} key {kid!r}" for ring, kid in used if ring in have and kid not in have[ring]):
        raise BadCopy(
            f"the .keys file names {', '.join(missing)}, which BRIDGE_VAULT_KEYS or BRIDGE_LINK_KEYS does not hold: "
            "put it back at the end of the list (KEY-03)"
        )


def _mark(database: Database) -> None:
    """From here on nothing here can be opened, until a restore was carried to its end."""
    with database.writing() as db:
        schema.alone(db)
        there = schema.current_of(db)
        if there != schema.RESTORING:
            if there is None and inspect(db).get_table_names():
                raise BadCopy("the database holds tables that are not ours: restore into an empty one")
            schema.known(there)
            for each in metadata.sorted_tables if there else ():
                if each is not keys_used and inspect(db).has_table(each.name) and _count(db, each):
                    raise BadCopy(
                        "the database is not empty: restore into a new one (BRIDGE_DATABASE_URL), or move this one away"
                    )
        schema.mark_restoring(db)


def _clear(db: Connection) -> None:
    """Take away the empty tables of a database that was made already."""
    metadata.drop_all(db)
    db.execute(text("DROP TABLE IF EXISTS alembic_version"))


def _load(db: Connection, store: Reader, progress: Progress) -> None:
    total = sum(section.rows for section in store.header.sections.values())
    targets: dict[str, RealTable] = {}
    done = 0
    for name, rows in store.rows():
        if name not in targets:
            targets[name] = RealTable(name, MetaData(), autoload_with=db)
        columns = store.header.sections[name].columns
        plain = table(name, *[column(each) for each in columns])
        db.execute(insert(plain), [dict(zip(columns, row, strict=True)) for row in rows])
        done += len(rows)
        progress(done, 2 * total)
    if db.dialect.name == "postgresql":
        for each in targets.values():
            _count_on(db, each)


def _count_on(db: Connection, each: RealTable) -> None:
    """New rows are numbered after the restored ones."""
    for number in each.primary_key.columns:
        name = db.scalar(text("SELECT pg_get_serial_sequence(:t, :c)"), {"t": each.name, "c": number.name})
        if name:
            highest = select(func.coalesce(func.max(number), 0) + 1).scalar_subquery()
            db.execute(select(func.setval(literal_column(f"'{name}'"), highest, False)))


def _load_keys(db: Connection, keys: Reader) -> tuple[int, dict[str, tuple[int, int]]]:
    """Stops, journal and keys as they were last; how many people signed up after the backup and are not in it, and
    whose address changed, or data was restricted, when."""
    later, moved = 0, dict[str, tuple[int, int]]()
    for name, rows in keys.rows():
        if name == _MOVED:
            moved.update((subject, (number, received)) for subject, number, received in rows)
            continue
        columns = keys.header.sections[name].columns
        if name != person_keys.name:
            plain = table(name, *[column(each) for each in columns])
            db.execute(insert(plain), [dict(zip(columns, row, strict=True)) for row in rows])
            continue
        here = select(subjects.c.id, subjects.c.number).where(subjects.c.id.in_([row[0] for row in rows]))
        mine = {row.id: row.number for row in db.execute(here)}
        there = [{"subject": mine[i], "kid": kid, "wrapped": wrapped} for i, kid, wrapped in rows if i in mine]
        later += len(rows) - len(there)
        if there:
            db.execute(insert(person_keys), there)
    if db.dialect.name == "postgresql":
        _count_on(db, staff_log)
    return later, moved


def _darken(db: Connection, now: datetime) -> tuple[int, int]:
    """Erase again whoever was erased since (SUP-04, SUP-06); how many, and how many have no key for another reason.

    Those are people whom the newest keys' file never knew, because the store was restored once before.
    """
    dark = lost = last = 0
    query = select(subjects.c.number, subjects.c.id, person_keys.c.subject.label("key"))
    query = query.outerjoin(person_keys, person_keys.c.subject == subjects.c.number).order_by(subjects.c.number)
    while rows := db.execute(query.where(subjects.c.number > last).limit(_AT_ONCE)).all():
        traces = {row.number: trace(row.id) for row in rows}
        told = set(db.scalars(select(erasures.c.hash).where(erasures.c.hash.in_(traces.values()))))
        journalled = [row.number for row in rows if traces[row.number] in told]
        keyless = [row.number for row in rows if row.key is None and traces[row.number] not in told]
        erase(db, journalled + keyless, now)
        dark, lost, last = dark + len(journalled), lost + len(keyless), rows[-1].number
    return dark, lost


def _open_all(db: Connection, vault: Vault, left: Collection[str], now: datetime, progress: Progress) -> int:
    """Open everybody: wrong keys show here, and who stands under a root that is gone is found again by a newer one.

    Who has `left` her address after the backup is here under that one, and the new one is lost; of who had her data
    restricted after it, that is lost: her yes ends.
    """
    total, done, last = _count(db, subjects), 0, 0
    questions = list(db.scalars(select(asked.c.purpose).where(asked.c.campaign.is_not(None)).distinct()))
    columns = (subjects.c.number, subjects.c.id, subjects.c.mark, subjects.c.profile, person_keys.c.kid)
    query = select(*columns, person_keys.c.wrapped, subjects.c.kid.label("found_by"))
    query = query.join(person_keys, person_keys.c.subject == subjects.c.number).order_by(subjects.c.number)
    while rows := db.execute(query.where(subjects.c.number > last).limit(_AT_ONCE)).all():
        stopped: dict[bytes, int] = {}
        questioned: dict[bytes, int] = {}
        live = _live(db, [row.number for row in rows if row.id in left])
        for row in rows:
            try:
                email = open_person(vault, row).person.email
            except Sealed:
                raise BadCopy(
                    "the people in it cannot be opened: BRIDGE_VAULT_KEYS does not hold the right keys"
                ) from None
            if row.found_by not in vault.kids:
                newest = vault.lookups(email)[0]
                mine = update(subjects).where(subjects.c.number == row.number)
                db.execute(mine.values(kid=newest.kid, lookup=newest.value))
            questioned |= {vault.once(purpose, email): row.number for purpose in questions}
            hashes = vault.stop_hashes(email)
            stopped |= {entry.value: row.number for entry in hashes}
            _end(db, hashes, live.get(row.number, ()), now)
        listed = db.scalars(select(stop_list.c.hash).where(stop_list.c.hash.in_(stopped)))
        _bind(db, questioned)
        numbers = {stopped[value] for value in listed}
        db.execute(update(pushes).where(pushes.c.subject.in_(numbers)).values(stop=True))
        last, done = rows[-1].number, done + len(rows)
        progress(total + done, 2 * total)
    forget(db, asked.c.subject.is_(None))  # people who are not in the backup
    return done


def _bind(db: Connection, questioned: Mapping[bytes, int]) -> None:
    """Whoever was asked once more is known by the hash, so that she is let go in time (AUD-05)."""
    if questioned:
        mine = and_(asked.c.hash.in_(questioned), asked.c.campaign.is_not(None))
        for value in db.scalars(select(asked.c.hash).where(mine)).all():
            db.execute(update(asked).where(asked.c.hash == value).values(subject=questioned[bytes(value)]))


def _left(db: Connection, moved: Mapping[str, tuple[int, int]], made: int) -> set[str]:
    """Whose address changed, or whose data was restricted, after the backup."""
    last = select(subjects.c.id, func.max(events.c.number)).join(events, events.c.subject == subjects.c.number)
    found = set()
    for first in range(0, len(moved), _AT_ONCE):
        part = list(moved)[first : first + _AT_ONCE]
        here = db.execute(last.where(subjects.c.id.in_(part)).group_by(subjects.c.id))
        found |= {subject for subject, number in here if number < moved[subject][0] or moved[subject][1] >= made}
    return found


def _live(db: Connection, numbers: Sequence[int]) -> dict[int, list[str]]:
    """What these people are on for."""
    query = select(records.c.subject, names.c.text).join(names, names.c.number == records.c.purpose)
    found: dict[int, list[str]] = {}
    live = query.where(records.c.subject.in_(numbers), records.c.status.in_(_LIVE))
    for subject, purpose in db.execute(live) if numbers else ():
        found.setdefault(subject, []).append(purpose)
    return found


def _end(db: Connection, hashes: Sequence[Hash], purposes: Sequence[str], now: datetime) -> None:
    """End her yes for these, where no stop of hers has done so already."""
    if purposes:
        there = select(stop_list.c.scope).where(stop_list.c.hash.in_([entry.value for entry in hashes]))
        over = set(db.scalars(there))
        stops = [Stop(hashes[0], each, EventType.INVALIDATED, now) for each in purposes if each not in over]
        remember_stops(Hand.of(db), stops)


def _calm(db: Connection, now: datetime) -> int:
    """Let go of what was under way then: jobs of platforms, connections, comparisons, leases.

    Mails that may have left since are not sent again (decision 25).
    """
    for each in (esp_jobs, connections, comparisons):
        db.execute(delete(each))
    asking = campaigns.c.state.in_(["running", "paused"])
    over = {
        "state": "stopped",
        "ended": now,
        "why": "a backup was restored: plan it anew; who was asked is not asked again",
    }
    db.execute(update(campaigns).where(asking).values(**over))
    _list_nobody(db, now)
    # Jobs and calls that nobody follows now are waited for as long as one may last.
    waits = or_(erase_work.c.jobs != "", erase_work.c.held.is_not(None))
    db.execute(update(erase_work).where(waits).values(calm=now + LONGEST_JOB, jobs="", held=None))
    db.execute(update(erase_work).values(due=now, told=None, leased=None, lease=None))
    dropped = db.execute(delete(outbox).where(or_(outbox.c.work != _REPEATED, outbox.c.handed.is_not(None)))).rowcount
    db.execute(update(outbox).values(leased=None, lease=None, reason=None))
    return int(dropped)


def _list_nobody(db: Connection, now: datetime) -> None:
    """Whoever was to be mailed of a breach then may have been since: nobody is by itself, whoever asks anew is told."""
    mails = select(outbox.c.subject).where(outbox.c.work == _BREACH)
    open_ = select(breaches.c.number).where(breaches.c.closed.is_(None))
    waits = or_(breach_told.c.state == 0, and_(breach_told.c.subject.in_(mails), breach_told.c.breach.in_(open_)))
    query = select(breach_told.c.breach, func.count()).where(waits).group_by(breach_told.c.breach)
    found = db.execute(query.order_by(breach_told.c.breach)).all()
    db.execute(delete(breach_told).where(waits))
    for number, people in found:
        text = f"a backup was restored: whether {people} were mailed since is not known; breach notify lists them anew"
        db.execute(insert(breach_notes).values(breach=number, time=now, by="restore", text=text))


def _tell_all(db: Connection, adapters: Sequence[str], now: datetime) -> int:
    """Have each platform told anew of everybody it may know: stops first, and no yes of then lifts a stop of since.

    Who was only asked then may have said yes since, and the proof is lost: she must be off there too.
    """
    db.execute(delete(pushes))
    for adapter in adapters:
        last = func.max(events.c.number)
        known = (
            select(
                events.c.subject,
                literal_column(f"'{adapter}'"),
                last,
                last,
                literal_column("true"),
                literal_column("0"),
            )
            .where(events.c.subject.is_not(None))
            .group_by(events.c.subject)
        )
        db.execute(insert(pushes).from_select(["subject", "adapter", "wanted", "put", "stop", "attempts"], known))
    db.execute(update(pushes).values(due=now))
    live = select(records.c.subject).where(records.c.status.in_(_LIVE))
    db.execute(update(pushes).where(pushes.c.subject.in_(live)).values(stop=False))
    return _count(db, pushes)
