"""The rules: GDPR 7(3) (who said stop), 21(3), ePrivacy 13; R1 to R16 of the project's standards, decisions 1 to 7."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise, permutations, product
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.decide import (
    MAILABLE,
    NEXT,
    SALE_FACTS,
    Contact,
    Work,
    blocks,
    decide,
    gate,
    is_live,
    is_news,
    is_on,
    may_ask,
    may_ask_once_more,
    may_confirm_again,
    may_mail,
    missing_evidence,
    paused_until,
    pending,
    soft_opt_in_gaps,
    status,
    strictest,
)
from bridge.vocabulary import (
    Asking,
    Block,
    ConsentEvent,
    EventType,
    Evidence,
    Limits,
    MailKind,
    Method,
    Status,
    bounce_type,
)

T, S, M = EventType, Status, Method

#: The moment the story begins; `at(…)` counts seconds from here.
START = datetime(2026, 11, 23, 10, 0, 0, tzinfo=UTC)
DAY = 86_400
LIMITS = Limits(notice_since={"newsletter": 1, "offers": 1})

_ROADS: dict[EventType, tuple[str, Method]] = {
    T.REQUESTED: ("reader", M.FORM),
    T.GIVEN: ("reader", M.CONFIRM_PAGE),
    T.WITHDRAWN: ("reader", M.ONE_CLICK),
    T.OBJECTED: ("operator", M.STAFF),
    T.REFUSED: ("reader", M.FORM),
    T.PAUSED: ("reader", M.PREFERENCE_PAGE),
    T.RESUMED: ("reader", M.PREFERENCE_PAGE),
    T.CORRECTED: ("reader", M.PREFERENCE_PAGE),
    T.ENROLLED: ("operator", M.IMPORT),
    T.IMPORTED: ("operator", M.IMPORT),
    T.EXPIRED: ("system", M.CLOCK),
    T.SUBSCRIBED: ("mailchimp", M.WEBHOOK),
    T.UNSUBSCRIBED: ("mailchimp", M.WEBHOOK),
    T.BOUNCED: ("sendgrid", M.WEBHOOK),
    T.DEFERRED: ("sendgrid", M.WEBHOOK),
    T.COMPLAINED: ("sendgrid", M.WEBHOOK),
}
_WHOLE_PERSON = {T.OBJECTED, T.COMPLAINED, T.ERASED, T.BOUNCED, T.DEFERRED, T.RESTRICTED, T.UNRESTRICTED} | {
    T.CHILD_DECLARED,
    T.GUARDIAN_CONFIRMED,
}


def at(seconds: float) -> datetime:
    """So many seconds into the story."""
    return START + timedelta(seconds=seconds)


def told(kind: EventType, seconds: float, purpose: str | None = None, **more: Any) -> ConsentEvent:
    """Something that happened, by its usual road; a yes answers a question put a second before, unless told otherwise."""
    source, method = _ROADS.get(kind, ("operator", M.STAFF))
    if purpose is None:
        purpose = "" if kind in _WHOLE_PERSON else "newsletter"
    moment = at(seconds)
    fields: dict[str, Any] = {
        "type": kind,
        "subject": "an",
        "time": moment,
        "received": moment,
        "source": source,
        "method": method,
        "key": f"{kind}/{seconds}/{purpose}/{more.get('source', source)}/{more.get('method', method)}",
        "purpose": purpose,
    }
    if kind in (T.REQUESTED, T.GIVEN):
        fields |= {"channel": "footer", "notice": 1}
    if kind is T.GIVEN and source == "reader":
        fields["asked"] = at(seconds - 1)
    return ConsentEvent(**(fields | more))


def may(events: Collection[ConsentEvent], seconds: float, purpose: str = "newsletter", **more: Any) -> bool:
    """May she be mailed so many seconds into the story?"""
    return may_mail(events, purpose, at(seconds), msgspec.structs.replace(LIMITS, **more)).may


def why(events: Collection[ConsentEvent], seconds: float, purpose: str = "newsletter", **more: Any) -> tuple[str, ...]:
    """The reasons."""
    return may_mail(events, purpose, at(seconds), msgspec.structs.replace(LIMITS, **more)).why


# -- every status × every event ----------------------------------------------------------------------------------

#: By hand, not from the code. A dot: stays as it is. Columns in the order of COLUMNS, after them those in STILL, which move nothing.
COLUMNS = (
    *(T.REQUESTED, T.GIVEN, T.ENROLLED, T.REFUSED, T.WITHDRAWN, T.UNSUBSCRIBED, T.OBJECTED, T.COMPLAINED),
    *(T.EXPIRED, T.REVOKED, T.INVALIDATED, T.ERASED),
)
TABLE = """
             req giv enr ref wdr uns obj com exp rev inv era
unknown      REQ GIV SOF REF WIT WIT OBJ OBJ EXP REV INV UNK
requested     .  GIV SOF REF WIT WIT OBJ OBJ EXP REV INV UNK
given         .   .   .  REF WIT WIT OBJ OBJ EXP REV INV UNK
soft_opt_in   .  GIV  .  REF WIT WIT OBJ OBJ EXP REV INV UNK
refused       .  GIV  .   .  WIT WIT OBJ OBJ EXP REV INV UNK
withdrawn     .  GIV  .  REF  .   .  OBJ OBJ EXP REV INV UNK
objected      .  GIV  .  REF WIT WIT  .   .  EXP REV INV UNK
expired       .  GIV  .  REF WIT WIT OBJ OBJ  .  REV INV UNK
revoked       .  GIV  .  REF WIT WIT OBJ OBJ EXP  .  INV UNK
invalidated   .  GIV  .  REF WIT WIT OBJ OBJ EXP REV  .  UNK
"""
STILL = (
    T.IMPORTED,
    T.PAUSED,
    T.RESUMED,
    T.RESTRICTED,
    T.UNRESTRICTED,
    T.CHILD_DECLARED,
    T.GUARDIAN_CONFIRMED,
    T.OF_AGE,
    T.MOVED,
    T.MERGED,
    T.CORRECTED,
    T.SUBSCRIBED,
    T.BOUNCED,
    T.DEFERRED,
)
_SHORT = {name.value[:3].upper(): name for name in Status}


def _cells() -> list[tuple[Status, EventType, Status]]:
    cells = []
    for line in TABLE.strip().splitlines()[1:]:
        name, *codes = line.split()
        here = Status(name)
        cells += [(here, event, _SHORT.get(code, here)) for event, code in zip(COLUMNS, codes, strict=True)]
        cells += [(here, event, here) for event in STILL]
    return cells


#: An event that leads to each status from nothing.
LEADS = {
    S.UNKNOWN: T.IMPORTED,
    S.REQUESTED: T.REQUESTED,
    S.GIVEN: T.GIVEN,
    S.SOFT_OPT_IN: T.ENROLLED,
    S.REFUSED: T.REFUSED,
    S.WITHDRAWN: T.WITHDRAWN,
    S.OBJECTED: T.OBJECTED,
    S.EXPIRED: T.EXPIRED,
    S.REVOKED: T.REVOKED,
    S.INVALIDATED: T.INVALIDATED,
}


def test_the_table_has_a_cell_for_every_status_and_every_event() -> None:
    """Section 3: nothing is left to an exception at night."""
    assert {(here, event) for here, event, _ in _cells()} == set(product(Status, EventType))
    assert {(here, event): NEXT[here][event] for here, event in product(Status, EventType)} == {
        (here, event): there for here, event, there in _cells()
    }


@pytest.mark.parametrize(("here", "event", "there"), _cells())
def test_a_history_moves_as_the_table_says(here: Status, event: EventType, there: Status) -> None:
    """R1, R2: a real history that stands at `here`, and one more believed event ten seconds later."""
    history = [told(LEADS[here], 0)]
    assert status(history, "newsletter") is here
    assert status([*history, told(event, 10)], "newsletter") is there


# -- R1: any order, any repetition, no time from the future ------------------------------------------------------


def test_the_order_of_arrival_makes_no_difference() -> None:
    """R1: all orders of a sign-up, a stop, a stale and a fresh yes, and an import."""
    story = [
        told(T.REQUESTED, 0),
        told(T.GIVEN, 10),
        told(T.WITHDRAWN, 20),
        told(T.GIVEN, 30, asked=at(15)),
        told(T.IMPORTED, 40),
        told(T.GIVEN, 50, asked=at(45)),
    ]
    answers = {may_mail(order, "newsletter", at(60), LIMITS) for order in permutations(story)}
    assert [(answer.may, answer.why) for answer in answers] == [
        (True, ("given 2026-11-23T10:00:50Z by reader (confirm-page)",))
    ]


def test_a_claimed_time_ahead_of_its_arrival_by_more_than_five_minutes_is_cut() -> None:
    """R1: a stop that claims next year counts from when we heard it, so a yes after that still counts."""
    ahead = told(T.UNSUBSCRIBED, 10, time=at(10 + 301))
    just = told(T.UNSUBSCRIBED, 10, time=at(10 + 300))
    yes = told(T.GIVEN, 100, asked=at(50))
    assert status([ahead, yes], "newsletter") is S.GIVEN
    assert status([just, yes], "newsletter") is S.WITHDRAWN


def test_a_yes_dated_ahead_cannot_outrun_a_later_stop() -> None:
    """R1: a yes that claims tomorrow is cut to its arrival, and the stop ten seconds later wins."""
    yes = told(T.GIVEN, 10, time=at(DAY), asked=at(DAY - 5))
    assert status([yes, told(T.WITHDRAWN, 20)], "newsletter") is S.WITHDRAWN


def test_of_a_news_told_twice_the_first_arrival_counts() -> None:
    """R1, decision 3: the same claimed time is cut by the first arrival, whichever copy is seen first."""
    first = told(T.UNSUBSCRIBED, 10, time=at(2000), key="esp-1")
    again = msgspec.structs.replace(first, received=at(2000))
    yes = told(T.GIVEN, 100, asked=at(50))
    assert {status(order, "newsletter") for order in permutations([first, again, yes])} == {S.GIVEN}


# -- R2, R3, R4: what passes a stop ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "given_at", "stands"),
    [
        (98, 99, S.WITHDRAWN),  # the yes came a second before the stop
        (98, 100, S.WITHDRAWN),  # same second
        (98, 101, S.WITHDRAWN),  # asked before, answered after: R4
        (100, 101, S.WITHDRAWN),  # asked in the second of the stop: the stop wins
        (100.9, 101, S.WITHDRAWN),  # still the same whole second
        (101, 101, S.GIVEN),  # asked and answered a second later
        (101, 102, S.GIVEN),
        (200, 101, S.GIVEN),  # a question dated after its answer counts as put when answered
        (200, 100.9, S.WITHDRAWN),
        (None, 101, S.WITHDRAWN),  # no question = never
    ],
)
def test_a_yes_passes_a_stop_only_when_asked_after_it(asked: float | None, given_at: float, stands: Status) -> None:
    """R2, decision 1: stop at 100.5 s; compared in whole seconds, the stop winning ties."""
    yes = told(T.GIVEN, given_at, asked=None if asked is None else at(asked))
    for order in permutations([told(T.GIVEN, 1), told(T.WITHDRAWN, 100.5), yes]):
        assert status(order, "newsletter") is stands


def test_an_import_after_a_stop_stays_stopped() -> None:
    """R3, decision 1: withdrawn@10, then given@20 from a file, even one that claims a question: withdrawn."""
    from_file = told(T.GIVEN, 20, source="operator", method=M.IMPORT, asked=at(15))
    assert status([told(T.WITHDRAWN, 10), from_file], "newsletter") is S.WITHDRAWN


@pytest.mark.parametrize(
    "news",
    [
        told(T.GIVEN, 200, source="operator", method=M.IMPORT, asked=at(150)),
        told(T.GIVEN, 200, source="operator", method=M.STAFF, asked=at(150)),
        told(T.GIVEN, 200, source="mailchimp", method=M.WEBHOOK, asked=at(150)),
        told(T.GIVEN, 200, source="mailchimp", method=M.CONFIRM_PAGE, asked=at(150)),
        told(T.GIVEN, 200, source="system", method=M.RECONCILE, asked=at(150)),
        told(T.GIVEN, 200, method=M.FORM, asked=at(150)),
        told(T.GIVEN, 200, method=M.PREFERENCE_LINK, asked=at(150)),
        told(T.SUBSCRIBED, 200),
        told(T.SUBSCRIBED, 200, source="reader", method=M.CONFIRM_PAGE, asked=at(150)),
        told(T.IMPORTED, 200),
        told(T.ENROLLED, 200),
        told(T.REQUESTED, 200),
        told(T.RESUMED, 200),
        told(T.UNRESTRICTED, 200),
        told(T.GUARDIAN_CONFIRMED, 200),
    ],
    ids=lambda e: f"{e.type}-{e.source}-{e.method}",
)
def test_nothing_but_the_readers_confirmed_answer_undoes_a_stop(news: ConsentEvent) -> None:
    """R3, ESP-01: imports, ESPs, staff, an unconfirmed form and re-sent webhooks never undo a stop."""
    assert status([told(T.GIVEN, 1), told(T.WITHDRAWN, 100), news], "newsletter") is S.WITHDRAWN


@pytest.mark.parametrize(
    ("source", "method", "stands"),
    [
        ("reader", M.CONFIRM_PAGE, S.GIVEN),
        ("reader", M.PREFERENCE_PAGE, S.GIVEN),
        ("reader", M.FORM, S.GIVEN),  # single opt-in
        ("operator", M.IMPORT, S.GIVEN),  # a file with its proof
        ("operator", M.STAFF, S.GIVEN),  # a paper form
        ("reader", M.PREFERENCE_LINK, S.UNKNOWN),  # an old mail's link may stop, not start
        ("reader", M.ONE_CLICK, S.UNKNOWN),
        ("mailchimp", M.WEBHOOK, S.UNKNOWN),
        ("mailchimp", M.CONFIRM_PAGE, S.UNKNOWN),
        ("system", M.CLOCK, S.UNKNOWN),
        ("operator", M.CONFIRM_PAGE, S.UNKNOWN),
    ],
)
def test_whose_yes_counts(source: str, method: Method, stands: Status) -> None:
    """ESP-01, decision 8: an ESP's word proves nothing, an old link starts nothing."""
    assert status([told(T.GIVEN, 1, source=source, method=method)], "newsletter") is stands


def test_a_yes_to_nothing_in_particular_is_no_yes() -> None:
    """CAP-02, TRN-05: a yes without a purpose does not stretch to every purpose, or to one invented later."""
    assert status([told(T.GIVEN, 1, "")], "newsletter") is S.UNKNOWN


def test_a_confirm_link_from_before_a_stop_is_void_and_a_new_request_is_not() -> None:
    """R4: she asked, stopped, asked anew; only the second question still waits."""
    history = [told(T.REQUESTED, 10), told(T.WITHDRAWN, 20)]
    assert pending(history, "newsletter", at(30), LIMITS) is None
    anew = told(T.REQUESTED, 40)
    assert pending([*history, anew], "newsletter", at(50), LIMITS) == anew
    assert pending([*history, told(T.REQUESTED, 20.9)], "newsletter", at(50), LIMITS) is None


def test_a_request_counts_only_from_the_reader() -> None:
    """ESP-01: no confirmation mail goes out on an ESP's or a file's say-so."""
    for source, method in (("mailchimp", M.WEBHOOK), ("operator", M.IMPORT), ("system", M.CLOCK)):
        asked = [told(T.REQUESTED, 10, source=source, method=method)]
        assert pending(asked, "newsletter", at(20), LIMITS) is None
        assert not gate(MailKind.CONFIRM, asked, ["newsletter"], at(20), LIMITS).may


def test_the_strictest_stop_wins_within_one_second() -> None:
    """Section 3: whatever came in during one second, in whatever order, the strictest is what she is told."""
    stops = [T.EXPIRED, T.REFUSED, T.WITHDRAWN, T.REVOKED, T.INVALIDATED, T.OBJECTED]
    for weaker, stronger in pairwise(stops):
        one, other = told(weaker, 10.9), told(stronger, 10.1)
        for order in permutations([one, other]):
            assert status(order, "newsletter") is Status(stronger.value)


# -- R5, R6: one list, all lists ---------------------------------------------------------------------------------

BOTH = [told(T.GIVEN, 1, "newsletter"), told(T.GIVEN, 2, "offers")]


def test_a_stop_for_one_list_leaves_the_other_alone() -> None:
    """R5: she left the newsletter and still gets the offers."""
    history = [*BOTH, told(T.WITHDRAWN, 10, "newsletter")]
    assert (status(history, "newsletter"), status(history, "offers")) == (S.WITHDRAWN, S.GIVEN)


def test_a_stop_for_all_stops_all() -> None:
    """R5, PRF-05: one act for the whole person, also for a purpose she never heard of."""
    history = [*BOTH, told(T.WITHDRAWN, 10, "")]
    assert {status(history, p) for p in ("newsletter", "offers", "later")} == {S.WITHDRAWN}


@pytest.mark.parametrize("purpose", ["", "newsletter"])
@pytest.mark.parametrize("kind", [T.OBJECTED, T.COMPLAINED])
def test_an_objection_or_a_complaint_is_for_all(kind: EventType, purpose: str) -> None:
    """R5, R6, RGT-06: GDPR 21(2) knows no list; also when the news came by way of one."""
    history = [*BOTH, told(kind, 10, purpose)]
    assert {status(history, p) for p in ("newsletter", "offers")} == {S.OBJECTED}
    assert not may(history, 20, "offers")
    assert not may_ask(history, "offers", at(400 * DAY), LIMITS).may
    assert "said no before" in soft_opt_in_gaps(FACTS, history, "offers", SOFT)
    assert pending([told(T.REQUESTED, 5, "offers"), told(kind, 10, purpose)], "offers", at(20), LIMITS) is None


# -- R13: another address ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "confirmed"),
    [
        (told(T.GIVEN, 40, asked=at(20)), True),
        (told(T.GIVEN, 40, "offers", asked=at(20)), True),  # whichever purpose: the mailbox answered
        (told(T.GIVEN, 40, asked=at(10)), True),  # asked as she moved: of the new mailbox
        (told(T.GIVEN, 40, asked=at(9)), False),  # asked of the old one
        (told(T.GIVEN, 40, asked=None), False),
        (told(T.GIVEN, 40, asked=at(20), method=M.FORM), False),
        (told(T.GIVEN, 40, asked=at(20), source="operator", method=M.STAFF), False),
        (told(T.SUBSCRIBED, 40, source="mailchimp", method=M.WEBHOOK), False),
        (told(T.REQUESTED, 40), False),
    ],
)
def test_consents_move_to_a_new_address_when_its_mailbox_confirms(event: ConsentEvent, *, confirmed: bool) -> None:
    """R13: told by an ESP; until then nothing is mailed there, and the evidence stays."""
    moved = told(T.MOVED, 10.5, "", source="mailchimp", method=M.WEBHOOK)
    history = [told(T.GIVEN, 1), moved]
    assert status(history, "newsletter") is S.GIVEN
    assert not may(history, 20)
    assert may([event, *history], 50) is confirmed
    assert gate(MailKind.WELCOME, [*history, event], ["newsletter"], at(50), LIMITS).may is confirmed


def test_a_question_put_to_an_old_address_is_void() -> None:
    """R13: pending items of the old address; the one put to the new mailbox by us is open."""
    moved = told(T.MOVED, 10, "", source="mailchimp", method=M.WEBHOOK)
    assert pending([told(T.REQUESTED, 5), moved], "newsletter", at(20), LIMITS) is None
    ours = told(T.REQUESTED, 10, source="system", method=M.WEBHOOK)
    assert pending([told(T.GIVEN, 1), moved, ours], "newsletter", at(20), LIMITS) == ours
    assert gate(MailKind.CONFIRM, [told(T.GIVEN, 1), moved, ours], ["newsletter"], at(20), LIMITS).may


# -- R7: dead addresses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "means"),
    [
        ("5.1.1", T.BOUNCED),
        ("5.1.2", T.BOUNCED),
        ("5.1.3", T.BOUNCED),
        ("5.1.6", T.BOUNCED),
        ("5.1.10", T.BOUNCED),
        ("4.2.2", T.DEFERRED),
        ("4.7.1", T.DEFERRED),
        ("4.0.0", T.DEFERRED),
        ("5.2.2", T.DEFERRED),
        ("5.7.1", None),
        ("5.7.515", None),
        ("5.7.26", None),
        ("5.1.0", None),
        ("5.1.8", None),  # the sender's address, not hers
        ("5.1.100", None),
        ("5.2.1", None),
        ("5.0.0", None),
        ("2.0.0", None),
        ("", None),
        ("nonsense", None),
    ],
)
def test_what_a_status_code_means_for_the_reader(code: str, means: EventType | None) -> None:
    """R7: dead, troubled, or our own fault; what we do not know never counts against her."""
    assert bounce_type(code) is means


def test_a_bounce_blocks_but_withdraws_nothing() -> None:
    """R7: a delivery block for every purpose; the yes and its evidence stay."""
    history = [*BOTH, told(T.BOUNCED, 10)]
    assert status(history, "newsletter") is S.GIVEN
    assert set(blocks(history, LIMITS)) == {Block.BOUNCED}
    assert not may(history, 20)
    assert not may(history, 20, "offers")


@pytest.mark.parametrize(
    ("event", "lifted"),
    [
        (told(T.GIVEN, 40, asked=at(20)), True),
        (told(T.GIVEN, 40, "offers", asked=at(20)), True),  # whichever purpose: the mailbox answered
        (told(T.GIVEN, 40, asked=at(20), method=M.PREFERENCE_PAGE), True),
        (told(T.GIVEN, 40, asked=at(9)), False),  # asked before the bounce
        (told(T.GIVEN, 40, asked=at(10.9)), False),  # in the same second
        (told(T.GIVEN, 40, asked=None), False),
        (told(T.GIVEN, 40, asked=at(20), method=M.FORM), False),  # a form proves no mailbox
        (told(T.GIVEN, 40, asked=at(20), source="operator", method=M.STAFF), False),
        (told(T.SUBSCRIBED, 40), False),
        (told(T.REQUESTED, 40), False),
        (told(T.UNRESTRICTED, 40), False),
        (told(T.CORRECTED, 40), False),
    ],
    ids=str,
)
def test_only_a_confirmation_asked_after_it_lifts_a_bounce(event: ConsentEvent, *, lifted: bool) -> None:
    """R7, decision 4: lifted by a new confirmation from that address and by nothing else."""
    history = [told(T.GIVEN, 1), told(T.BOUNCED, 10), event]
    assert (Block.BOUNCED not in blocks(history, LIMITS)) is lifted


@pytest.mark.parametrize(
    ("seconds", "dead"),
    [
        ([0, 1, 2, 3], False),
        ([0, 1, 2, 3, 4], True),
        ([0, 1, 2, 3, 15 * DAY], True),  # the fifth just within the window
        ([0, 1, 2, 3, 15 * DAY + 1], False),
        ([0, 20 * DAY, 21 * DAY, 22 * DAY, 23 * DAY], False),
        ([0, 20 * DAY, 21 * DAY, 22 * DAY, 23 * DAY, 24 * DAY], True),  # a run anywhere in the story
    ],
)
def test_five_deferrals_in_fifteen_days_are_a_dead_address(seconds: list[float], *, dead: bool) -> None:
    """R7: counted in a moving window, in any order of arrival."""
    history = [told(T.GIVEN, 0, asked=at(-60)), *(told(T.DEFERRED, moment) for moment in reversed(seconds))]
    assert (Block.BOUNCED in blocks(history, LIMITS)) is dead
    assert may(history, 30 * DAY) is not dead


@pytest.mark.parametrize(("asked", "dead"), [(3.5, False), (-60, True), (20, False)])
def test_an_answer_from_the_mailbox_begins_the_count_anew(asked: float, *, dead: bool) -> None:
    """R7: it was alive in between, or is again; an answer to an older question says nothing of that."""
    soft = [told(T.DEFERRED, moment * 60) for moment in (1, 2, 3, 5, 6)]
    history = [told(T.GIVEN, 0, asked=at(-60)), *soft, told(T.GIVEN, asked * 60 + 10, asked=at(asked * 60))]
    assert (Block.BOUNCED in blocks(history, LIMITS)) is dead


def test_a_deferral_told_twice_counts_once() -> None:
    """R7, HOOK-02: five copies of one deferral are one."""
    one = told(T.DEFERRED, 5)
    copies = [msgspec.structs.replace(one, received=at(5 + n)) for n in range(5)]
    assert not blocks([told(T.GIVEN, 1), *copies], LIMITS)


def test_the_policy_says_how_many_deferrals_are_too_many() -> None:
    """R7: CFG."""
    history = [told(T.DEFERRED, moment) for moment in (1, 2, 3)]
    assert Block.BOUNCED in blocks(history, Limits(soft_bounces=3))
    assert not blocks(history, Limits(soft_bounces=3, soft_bounce_window=timedelta(seconds=1)))


@pytest.mark.parametrize(
    ("closing", "opening", "block"),
    [
        (T.RESTRICTED, T.UNRESTRICTED, Block.RESTRICTED),
        (T.CHILD_DECLARED, T.GUARDIAN_CONFIRMED, Block.CHILD_UNVERIFIED),
    ],
)
def test_other_blocks_open_only_afterwards(closing: EventType, opening: EventType, block: Block) -> None:
    """RGT-05, KID-01: closed until the matching news a whole second later; a tie stays closed; a yes opens nothing."""
    closed = [told(T.GIVEN, 1), told(closing, 10.2)]
    assert set(blocks(closed, LIMITS)) == {block}
    assert set(blocks([*closed, told(opening, 9)], LIMITS)) == {block}
    assert set(blocks([*closed, told(opening, 10.8)], LIMITS)) == {block}
    assert set(blocks([*closed, told(T.GIVEN, 50, asked=at(40))], LIMITS)) == {block}
    assert not blocks([*closed, told(opening, 11)], LIMITS)
    assert set(blocks([*closed, told(opening, 11), told(closing, 12)], LIMITS)) == {block}


def test_an_erased_person_comes_back_only_by_her_own_confirmation() -> None:
    """R12, SUP-05: known only as a hash; her new confirmed yes lifts it."""
    erased = [told(T.GIVEN, 1), told(T.ERASED, 10)]
    assert status(erased, "newsletter") is S.UNKNOWN
    assert set(blocks(erased, LIMITS)) == {Block.ERASED}
    assert set(blocks([*erased, told(T.REQUESTED, 20), told(T.SUBSCRIBED, 21)], LIMITS)) == {Block.ERASED}
    back = [*erased, told(T.GIVEN, 30, asked=at(20))]
    assert not blocks(back, LIMITS)
    assert may(back, 40)


# -- R8: soft opt-in ---------------------------------------------------------------------------------------------

FACTS = dict.fromkeys(SALE_FACTS, "known")
SOFT = msgspec.structs.replace(LIMITS, soft_opt_in=True)


def test_a_soft_opt_in_needs_all_six_facts() -> None:
    """R8, SOF-01: drop each fact in turn, or leave it empty."""
    assert set(FACTS) == {
        "sale_id",
        "from_person",
        "same_entity",
        "similar_category",
        "opt_out_offered",
        "opt_out_in_mail",
    }
    assert soft_opt_in_gaps(FACTS, [], "newsletter", SOFT) == []
    for fact in FACTS:
        assert soft_opt_in_gaps({k: v for k, v in FACTS.items() if k != fact}, [], "newsletter", SOFT) == [fact]
        assert soft_opt_in_gaps({**FACTS, fact: ""}, [], "newsletter", SOFT) == [fact]


@pytest.mark.parametrize("stop", [T.REFUSED, T.WITHDRAWN, T.OBJECTED, T.COMPLAINED, T.UNSUBSCRIBED, T.ERASED])
def test_whoever_said_no_is_never_enrolled(stop: EventType) -> None:
    """R8, SOF-02: a refused box, and every stop, close soft opt-in for good."""
    history = [told(stop, 10)]
    assert soft_opt_in_gaps(FACTS, history, "newsletter", SOFT) == ["said no before"]
    assert status([*history, told(T.ENROLLED, 20)], "newsletter") is not S.SOFT_OPT_IN


def test_a_stop_for_another_list_does_not_close_this_one() -> None:
    """R5, R8: she left the offers; the newsletter may still rest on her purchase."""
    assert soft_opt_in_gaps(FACTS, [told(T.WITHDRAWN, 1, "offers")], "newsletter", SOFT) == []


def test_the_country_decides_about_soft_opt_in() -> None:
    """SOF-03: refused at the start, and at the gate if the profile changes later."""
    assert soft_opt_in_gaps(FACTS, [], "newsletter", LIMITS) == ["the country's profile does not allow soft opt-in"]
    enrolled = [told(T.ENROLLED, 10)]
    assert may(enrolled, 20, soft_opt_in=True)
    assert why(enrolled, 20) == ("soft opt-in is not allowed by the country's profile",)


def test_a_yes_replaces_a_soft_opt_in() -> None:
    """R8: consent given later is what she stands on, also when another purchase follows."""
    for order in permutations([told(T.ENROLLED, 10), told(T.GIVEN, 20), told(T.ENROLLED, 30)]):
        assert status(order, "newsletter") is S.GIVEN
        assert may(order, 40)


def test_a_soft_opt_in_ends_so_long_after_the_last_purchase() -> None:
    """SOF-03, R10: to the second, counted from the last sale and not from the first."""
    first, last = told(T.ENROLLED, 0), told(T.ENROLLED, 100 * DAY)
    for order in permutations([first, last]):
        assert may(order, 831 * DAY - 1, soft_opt_in=True)
        assert not may(order, 831 * DAY, soft_opt_in=True)
    assert why([first], 731 * DAY, soft_opt_in=True) == (
        "expired 2028-11-23T10:00:00Z: enrolled 2026-11-23T10:00:00Z by operator (import)",
    )


# -- R9, R10: limits of time -------------------------------------------------------------------------------------


def test_a_request_waits_for_its_time_to_the_second() -> None:
    """R9, CON-04: 72 hours and not a second more; a newer request starts anew."""
    asked = told(T.REQUESTED, 0)
    limit = 72 * 3600
    assert pending([asked], "newsletter", at(limit - 1), LIMITS) == asked
    assert pending([asked], "newsletter", at(limit), LIMITS) == asked
    assert pending([asked], "newsletter", at(limit + 1), LIMITS) is None
    again = told(T.REQUESTED, limit)
    assert pending([again, asked], "newsletter", at(limit + 1), LIMITS) == again
    shorter = msgspec.structs.replace(LIMITS, pending_ttl=timedelta(hours=24))
    assert pending([asked], "newsletter", at(24 * 3600 + 1), shorter) is None


def test_a_confirmed_request_waits_no_more() -> None:
    """CON-04: a live yes stands; nothing to ask. Another purpose still waits."""
    history = [told(T.REQUESTED, 0), told(T.REQUESTED, 0, "offers"), told(T.GIVEN, 10)]
    assert pending(history, "newsletter", at(20), LIMITS) is None
    assert pending(history, "offers", at(20), LIMITS) is not None


@pytest.mark.parametrize(
    ("history", "limits", "live"),
    [
        ([], {}, False),
        ([told(T.REQUESTED, 1)], {}, False),
        ([told(T.GIVEN, 1)], {}, True),
        ([told(T.GIVEN, 1), told(T.PAUSED, 5, until=at(DAY))], {}, True),  # on hold is still a yes
        ([told(T.GIVEN, 1), told(T.BOUNCED, 5)], {}, False),  # R7: confirming again is what brings her back
        ([told(T.GIVEN, 1)], {"notice_since": {"newsletter": 2}}, False),  # new words: a new question
        ([told(T.GIVEN, 1)], {"consent_max_age": timedelta(seconds=9)}, False),
        ([told(T.GIVEN, 1), told(T.WITHDRAWN, 5)], {}, False),
        ([told(T.ENROLLED, 1)], {"soft_opt_in": True}, False),  # R8: a purchase is no consent; she may still give it
    ],
)
def test_who_signs_up_again_is_asked_unless_a_live_yes_stands(
    history: list[ConsentEvent], limits: dict[str, Any], *, live: bool
) -> None:
    """Decision 6: "you are subscribed already" goes to whom a new confirmation would bring nothing."""
    again = [*history, told(T.REQUESTED, 9)]
    assert is_live(again, "newsletter", at(10), _with(limits)) is live
    assert (pending(again, "newsletter", at(10), _with(limits)) is None) is live


def test_a_yes_grows_too_old_to_the_second_without_any_event() -> None:
    """R10, decision 2: 36 months after the last clear act; a purge that never ran mails nobody."""
    yes = told(T.GIVEN, 0)
    limit = 1096 * DAY
    assert may([yes], limit - 1)
    assert not may([yes], limit)
    assert status([yes], "newsletter") is S.GIVEN  # no clock in `status`
    assert why([yes], limit) == ("expired 2029-11-23T10:00:00Z: given 2026-11-23T10:00:00Z by reader (confirm-page)",)
    assert may([yes, told(T.GIVEN, 10)], limit)  # the last clear act counts
    assert not is_live([yes], "newsletter", at(limit), LIMITS)


def test_expiry_told_by_the_clock_says_the_same() -> None:
    """Decision 2: an `expired` event records it; only a new confirmed yes passes it."""
    expired = [told(T.GIVEN, 0), told(T.EXPIRED, 100)]
    assert why(expired, 200) == ("expired 2026-11-23T10:01:40Z by system (clock)",)
    assert may([*expired, told(T.GIVEN, 300, asked=at(200))], 400)


# -- R11, R12, R16: asking again ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [T.WITHDRAWN, T.REFUSED, T.UNSUBSCRIBED])
def test_nobody_who_said_no_is_asked_again_for_six_months(stop: EventType) -> None:
    """R16: to the second; her own form is no asking of ours, so her request waits all the same."""
    history = [told(T.GIVEN, 1), told(stop, 10)]
    assert not may_ask(history, "newsletter", at(10 + 183 * DAY - 1), LIMITS).may
    assert may_ask(history, "newsletter", at(10 + 183 * DAY), LIMITS).may
    assert may_ask(history, "offers", at(20), LIMITS).may
    asked = told(T.REQUESTED, 60)
    assert pending([*history, asked], "newsletter", at(70), LIMITS) == asked


@pytest.mark.parametrize("kind", [T.BOUNCED, T.RESTRICTED, T.CHILD_DECLARED, T.ERASED, T.COMPLAINED, T.OBJECTED])
def test_some_are_never_asked(kind: EventType) -> None:
    """R6, R16, AUD-04: not after a complaint or objection, ever, nor where a block stands."""
    assert may_ask([], "newsletter", at(0), LIMITS).may
    assert not may_ask([told(kind, 10)], "newsletter", at(3000 * DAY), LIMITS).may


def test_the_question_for_proof_is_put_once_ever() -> None:
    """R11, AUD-04: only to a contact without proof, and only once."""
    bram = [told(T.IMPORTED, 0, channel="footer")]

    asking = msgspec.structs.replace(LIMITS, **ASKS)

    def may_be_asked(history: list[ConsentEvent], *, before: bool = False) -> bool:
        contact = Contact(gaps=frozenset({"notice"}), asked=before)
        answer = may_ask_once_more(history, "newsletter", contact, at(900 * DAY), asking)
        assert answer.why
        return answer.may

    assert may_be_asked(bram)
    assert not may_be_asked(bram, before=True)
    for place in (None, "elsewhere"):  # whose list that was, nobody can tell
        assert not may_be_asked([told(T.IMPORTED, 0, channel=place)])
    for kind in (T.WITHDRAWN, T.EXPIRED, T.COMPLAINED, T.BOUNCED, T.GIVEN, T.REVOKED, T.INVALIDATED, T.ENROLLED):
        assert not may_be_asked([*bram, told(kind, 10)]), kind


def test_an_erased_person_gets_one_confirmation_in_thirty_days() -> None:
    """R12: to the second, counted from every mail already sent."""
    assert may_confirm_again([], at(0), LIMITS)
    assert not may_confirm_again([at(0)], at(30 * DAY - 1), LIMITS)
    assert may_confirm_again([at(0)], at(30 * DAY), LIMITS)
    assert not may_confirm_again([at(0), at(20 * DAY)], at(31 * DAY), LIMITS)


# -- R14: two records, one address -------------------------------------------------------------------------------


def test_two_records_merge_to_the_strictest() -> None:
    """R14: the table by hand: from the most willing to the firmest no."""
    order = [S.GIVEN, S.SOFT_OPT_IN, S.REQUESTED, S.UNKNOWN, S.EXPIRED]
    order += [S.REFUSED, S.WITHDRAWN, S.REVOKED, S.INVALIDATED, S.OBJECTED]
    assert sorted(order) == sorted(Status)
    for (weak, one), (strong, other) in product(enumerate(order), repeat=2):
        assert strictest(one, other) is order[max(weak, strong)]


@given(st.sampled_from(Status), st.sampled_from(Status), st.sampled_from(Status))
def test_merging_has_no_order_and_never_mails_more(one: Status, two: Status, three: Status) -> None:
    """R14: commutative, associative, idempotent; mailable only if both were."""
    assert strictest(one, two) is strictest(two, one)
    assert strictest(one, strictest(two, three)) is strictest(strictest(one, two), three)
    assert strictest(one, one) is one
    assert (strictest(one, two) in MAILABLE) == (one in MAILABLE and two in MAILABLE)


# -- may_mail: every reason --------------------------------------------------------------------------------------


def test_a_yes_says_which_act_it_rests_on() -> None:
    """interface.md section 5: the answer, and the act behind it."""
    answer = may_mail([told(T.GIVEN, 297)], "newsletter", at(300), LIMITS)
    assert msgspec.json.decode(msgspec.json.encode(answer)) == {
        "may": True,
        "status": "given",
        "why": ["given 2026-11-23T10:04:57Z by reader (confirm-page)"],
    }


def test_a_no_is_worded_as_promised() -> None:
    """interface.md section 5: to the letter; the fraction of a second is not told."""
    answer = may_mail([told(T.GIVEN, 1), told(T.WITHDRAWN, 297.9)], "newsletter", at(300), LIMITS)
    assert msgspec.json.decode(msgspec.json.encode(answer)) == {
        "may": False,
        "status": "withdrawn",
        "why": ["withdrawn 2026-11-23T10:04:57Z by reader (one-click)"],
    }


@pytest.mark.parametrize(
    ("history", "reason", "stands"),
    [
        ([], "no yes on record", S.UNKNOWN),
        ([told(T.IMPORTED, 1)], "no yes on record", S.UNKNOWN),
        ([told(T.SUBSCRIBED, 1)], "no yes on record", S.UNKNOWN),
        ([told(T.REQUESTED, 1)], "requested 2026-11-23T10:00:01Z by reader (form)", S.REQUESTED),
        (
            [told(T.REQUESTED, 1), told(T.REQUESTED, 9)],
            "requested 2026-11-23T10:00:09Z by reader (form)",
            S.REQUESTED,
        ),
        (
            [told(T.GIVEN, 1), told(T.UNSUBSCRIBED, 2)],
            "unsubscribed 2026-11-23T10:00:02Z by mailchimp (webhook)",
            S.WITHDRAWN,
        ),
        (
            [told(T.GIVEN, 1), told(T.COMPLAINED, 2)],
            "complained 2026-11-23T10:00:02Z by sendgrid (webhook)",
            S.OBJECTED,
        ),
        ([told(T.GIVEN, 1), told(T.REVOKED, 2)], "revoked 2026-11-23T10:00:02Z by operator (staff)", S.REVOKED),
    ],
)
def test_the_reason_names_the_act_that_stands(history: list[ConsentEvent], reason: str, stands: Status) -> None:
    """SND-01: unknown is no, and each no says who, when and how."""
    answer = may_mail(history, "newsletter", at(60), LIMITS)
    assert (answer.may, answer.why, answer.status) == (False, (reason,), stands)


def test_a_no_gives_every_reason_of_a_stopped_person() -> None:
    """SND-01: withdrawn, bounced, restricted, paused, processor closed, purpose gone: all named, none hides another."""
    history = [
        told(T.GIVEN, 1, "gone"),
        told(T.WITHDRAWN, 10, "gone"),
        told(T.BOUNCED, 20),
        told(T.RESTRICTED, 30),
        told(T.CHILD_DECLARED, 35),
        told(T.PAUSED, 40, "", until=at(DAY)),
    ]
    assert why(history, 50, "gone", closed={"gone": "contract with Mailchimp ended"}) == (
        "withdrawn 2026-11-23T10:00:10Z by reader (one-click)",
        "unknown purpose 'gone'",
        "bounced, bounced 2026-11-23T10:00:20Z by sendgrid (webhook)",
        "restricted, restricted 2026-11-23T10:00:30Z by operator (staff)",
        "child_unverified, child_declared 2026-11-23T10:00:35Z by operator (staff)",
        "paused until 2026-11-24T10:00:00Z by the reader",
        "contract with Mailchimp ended",
    )


def test_a_no_gives_every_reason_of_a_yes_that_no_longer_counts() -> None:
    """SND-01: too old, old words, dead address, paused, closed: all at once."""
    late = 1200 * DAY
    history = [told(T.GIVEN, 0), told(T.BOUNCED, 20), told(T.PAUSED, 40, until=at(late + DAY))]
    assert why(history, late, notice_since={"newsletter": 3}, closed={"newsletter": "review overdue"}) == (
        "expired 2029-11-23T10:00:00Z: given 2026-11-23T10:00:00Z by reader (confirm-page)",
        "the words agreed to (version 1) no longer cover this purpose (since version 3)",
        "bounced, bounced 2026-11-23T10:00:20Z by sendgrid (webhook)",
        "paused until 2030-03-08T10:00:00Z by the reader",
        "review overdue",
    )


#: For each condition of the gate a scene where only this one refuses, and the same scene where it does not.
ONLY: dict[str, tuple[list[ConsentEvent], dict[str, Any], list[ConsentEvent], dict[str, Any]]] = {
    "no yes": ([], {}, [told(T.GIVEN, 1)], {}),
    "only asked": ([told(T.REQUESTED, 1)], {}, [told(T.REQUESTED, 1), told(T.GIVEN, 2, asked=at(1))], {}),
    "stopped": ([told(T.GIVEN, 1), told(T.WITHDRAWN, 5)], {}, [told(T.GIVEN, 1), told(T.WITHDRAWN, 5, "offers")], {}),
    "too old": ([told(T.GIVEN, -1096 * DAY)], {}, [told(T.GIVEN, -1095 * DAY)], {}),
    "sale too old": (
        [told(T.ENROLLED, -731 * DAY)],
        {"soft_opt_in": True},
        [told(T.ENROLLED, 1)],
        {"soft_opt_in": True},
    ),
    "soft opt-in not allowed": ([told(T.ENROLLED, 1)], {}, [told(T.ENROLLED, 1)], {"soft_opt_in": True}),
    "old words": ([told(T.GIVEN, 1)], {"notice_since": {"newsletter": 2}}, [told(T.GIVEN, 1, notice=2)], {}),
    "words not known": ([told(T.GIVEN, 1, notice=None)], {}, [told(T.GIVEN, 1)], {}),
    "purpose not known": ([told(T.GIVEN, 1)], {"notice_since": {"offers": 1}}, [told(T.GIVEN, 1)], {}),
    "bounced": ([told(T.GIVEN, 1), told(T.BOUNCED, 5)], {}, [told(T.BOUNCED, 5), told(T.GIVEN, 9, asked=at(8))], {}),
    "deferred too often": (
        [told(T.GIVEN, 1), *(told(T.DEFERRED, n) for n in range(2, 7))],
        {},
        [told(T.GIVEN, 1), *(told(T.DEFERRED, n) for n in range(2, 6))],
        {},
    ),
    "restricted": (
        [told(T.GIVEN, 1), told(T.RESTRICTED, 5)],
        {},
        [told(T.GIVEN, 1), told(T.RESTRICTED, 5), told(T.UNRESTRICTED, 6)],
        {},
    ),
    "child": (
        [told(T.GIVEN, 1), told(T.CHILD_DECLARED, 5)],
        {},
        [told(T.GIVEN, 1), told(T.CHILD_DECLARED, 5), told(T.GUARDIAN_CONFIRMED, 6)],
        {},
    ),
    "erased": ([told(T.GIVEN, 1), told(T.ERASED, 5, "offers")], {}, [told(T.GIVEN, 1)], {}),
    "paused": (
        [told(T.GIVEN, 1), told(T.PAUSED, 5, until=at(11))],
        {},
        [told(T.GIVEN, 1), told(T.PAUSED, 5, until=at(10))],
        {},
    ),
    "closed": (
        [told(T.GIVEN, 1)],
        {"closed": {"newsletter": "no contract"}},
        [told(T.GIVEN, 1)],
        {"closed": {"offers": ""}},
    ),
}


@pytest.mark.parametrize("name", ONLY)
def test_each_condition_of_the_gate_refuses_by_itself(name: str) -> None:
    """SND-01: drop any one condition of `may_mail` and the scene where only it refuses would be mailed."""
    refused, limits, allowed, others = ONLY[name]
    assert len(why(refused, 10, **limits)) == 1
    assert not may(refused, 10, **limits)
    assert not gate(MailKind.MARKETING, refused, ["newsletter"], at(10), _with(limits)).may
    assert not is_on(refused, "newsletter", at(10), _with(limits))
    assert may(allowed, 10, **others)
    assert is_on(allowed, "newsletter", at(10), _with(others))


def _with(limits: dict[str, Any]) -> Limits:
    return msgspec.structs.replace(LIMITS, **limits)


def test_a_pause_is_for_one_purpose_or_for_all_and_the_last_word_counts() -> None:
    """Decision 10: a pause ends by its date or by her word, and is no stop."""
    one = [*BOTH, told(T.PAUSED, 10, "newsletter", until=at(100))]
    assert (may(one, 20, "newsletter"), may(one, 20, "offers")) == (False, True)
    everything = [*BOTH, told(T.PAUSED, 10, "", until=at(100))]
    assert (may(everything, 20, "newsletter"), may(everything, 20, "offers")) == (False, False)
    assert may(everything, 100)  # over to the second
    assert not may(everything, 99.9)
    assert status(everything, "newsletter") is S.GIVEN
    one_back = [*everything, told(T.RESUMED, 30, "offers")]
    assert (may(one_back, 40, "newsletter"), may(one_back, 40, "offers")) == (False, True)
    shorter = [*everything, told(T.PAUSED, 30, "", until=at(50))]
    assert paused_until(shorter, "newsletter") == at(50)
    assert paused_until(BOTH, "newsletter") is None


# -- gate: each kind of mail -------------------------------------------------------------------------------------

ASKED = [told(T.REQUESTED, 1)]
YES = [told(T.REQUESTED, 1), told(T.GIVEN, 3, asked=at(2))]
LEFT = [*YES, told(T.WITHDRAWN, 5)]
GOODBYE = {"goodbye": True}
ASKS = {"asking": Asking(home="BE", countries=frozenset({"BE"})), "channels": frozenset({"footer"})}
#: Somebody whom a running campaign asks.
ASKED_NOW = Contact(gaps=frozenset({"notice"}), asked=False)


@pytest.mark.parametrize(
    ("kind", "history", "purposes", "limits", "may_leave"),
    [
        (MailKind.MARKETING, YES, ["newsletter"], {}, True),
        (MailKind.MARKETING, YES, ["newsletter", "offers"], {}, False),  # every purpose it serves
        (MailKind.MARKETING, BOTH, ["newsletter", "offers"], {}, True),
        (MailKind.MARKETING, LEFT, ["newsletter"], {}, False),
        (MailKind.MARKETING, ASKED, ["newsletter"], {}, False),
        (MailKind.MARKETING, YES, ["nobody-knows"], {}, False),
        (MailKind.MARKETING, YES, [], {}, False),
        (MailKind.MARKETING, YES, [""], {}, False),
        (MailKind.MARKETING, [], ["newsletter"], {}, False),
        (MailKind.CONFIRM, ASKED, ["newsletter"], {}, True),
        (MailKind.CONFIRM, ASKED, ["newsletter", "offers"], {}, False),
        (MailKind.CONFIRM, YES, ["newsletter"], {}, False),  # said yes meanwhile
        (MailKind.CONFIRM, [*ASKED, told(T.WITHDRAWN, 2)], ["newsletter"], {}, False),  # stopped meanwhile
        (MailKind.CONFIRM, [told(T.WITHDRAWN, 0), *ASKED], ["newsletter"], {}, True),  # R16: her own form
        (MailKind.CONFIRM, [told(T.COMPLAINED, 0), *ASKED], ["newsletter"], {}, True),
        (MailKind.CONFIRM, [told(T.BOUNCED, 0), *ASKED], ["newsletter"], {}, True),  # R7: it may lift the block
        (MailKind.CONFIRM, [told(T.ERASED, 0), *ASKED], ["newsletter"], {}, True),  # R12
        (MailKind.CONFIRM, [*ASKED, told(T.RESTRICTED, 0)], ["newsletter"], {}, False),
        (MailKind.CONFIRM, [*ASKED, told(T.CHILD_DECLARED, 0)], ["newsletter"], {}, True),  # KID-01: her own yes too
        (MailKind.GUARDIAN, [*ASKED, told(T.CHILD_DECLARED, 1)], ["newsletter"], {}, True),
        (MailKind.GUARDIAN, [*YES, told(T.CHILD_DECLARED, 1)], ["newsletter"], {}, True),  # the child was quicker
        (MailKind.GUARDIAN, ASKED, ["newsletter"], {}, False),  # no child
        (MailKind.GUARDIAN, [*ASKED, told(T.CHILD_DECLARED, 1)], ["newsletter", "offers"], {}, False),
        (MailKind.GUARDIAN, [*ASKED, told(T.CHILD_DECLARED, 1)], [], {}, False),
        (MailKind.GUARDIAN, [told(T.REQUESTED, 1, "gone"), told(T.CHILD_DECLARED, 1)], ["gone"], {}, False),
        (
            MailKind.GUARDIAN,
            [*ASKED, told(T.CHILD_DECLARED, 1), told(T.GUARDIAN_CONFIRMED, 5)],
            ["newsletter"],
            {},
            False,
        ),
        (MailKind.GUARDIAN, [*ASKED, told(T.CHILD_DECLARED, 1), told(T.RESTRICTED, 5)], ["newsletter"], {}, False),
        (
            MailKind.GUARDIAN,
            [*ASKED, told(T.CHILD_DECLARED, 1)],
            ["newsletter"],
            {"pending_ttl": timedelta(seconds=5)},
            False,
        ),
        (MailKind.OF_AGE, [*YES, told(T.EXPIRED, 5)], ["newsletter"], {}, True),
        (MailKind.OF_AGE, YES, ["newsletter"], {}, False),
        (MailKind.OF_AGE, [*YES, told(T.EXPIRED, 5), told(T.WITHDRAWN, 6)], ["newsletter"], {}, False),
        (MailKind.OF_AGE, [*YES, told(T.EXPIRED, 5), told(T.BOUNCED, 6)], ["newsletter"], {}, False),
        (MailKind.OF_AGE, [*YES, told(T.EXPIRED, 5)], [], {}, False),
        (MailKind.CONFIRM, ASKED, ["newsletter"], {"pending_ttl": timedelta(seconds=5)}, False),
        (MailKind.CONFIRM, [told(T.REQUESTED, 1, "gone")], ["gone"], {}, False),
        (MailKind.CONFIRM, ASKED, [], {}, False),
        (MailKind.CONFIRM, [], ["newsletter"], {}, False),
        (MailKind.WELCOME, YES, ["newsletter"], {}, True),
        (MailKind.WELCOME, YES, ["newsletter", "offers"], {}, False),
        (MailKind.WELCOME, LEFT, ["newsletter"], {}, False),
        (MailKind.WELCOME, ASKED, ["newsletter"], {}, False),
        (MailKind.WELCOME, [*YES, told(T.BOUNCED, 5)], ["newsletter"], {}, False),
        (MailKind.WELCOME, [*YES, told(T.RESTRICTED, 5)], ["newsletter"], {}, False),
        (MailKind.WELCOME, [told(T.GIVEN, 1, "gone")], ["gone"], {}, False),
        (MailKind.WELCOME, YES, [], {}, False),
        (MailKind.SUBSCRIBED, YES, ["newsletter"], {}, True),
        (MailKind.SUBSCRIBED, LEFT, ["newsletter"], {}, False),
        (MailKind.SUBSCRIBED, [*YES, told(T.BOUNCED, 5)], ["newsletter"], {}, False),
        (MailKind.SUBSCRIBED, [told(T.GIVEN, 1, "gone")], ["gone"], {}, False),
        (MailKind.SUBSCRIBED, YES, [], {}, False),
        (MailKind.GOODBYE, LEFT, ["newsletter"], GOODBYE, True),
        (MailKind.GOODBYE, LEFT, ["newsletter"], {}, False),  # the profile asks for none
        (MailKind.GOODBYE, YES, ["newsletter"], GOODBYE, False),  # came back meanwhile
        (MailKind.GOODBYE, LEFT, ["newsletter", "offers"], GOODBYE, False),
        (MailKind.GOODBYE, [*YES, told(T.OBJECTED, 5)], ["newsletter"], GOODBYE, True),
        (MailKind.GOODBYE, [*LEFT, told(T.COMPLAINED, 6)], ["newsletter"], GOODBYE, False),
        (MailKind.GOODBYE, [*LEFT, told(T.BOUNCED, 6)], ["newsletter"], GOODBYE, False),
        (MailKind.GOODBYE, [*LEFT, told(T.RESTRICTED, 6)], ["newsletter"], GOODBYE, False),
        (MailKind.GOODBYE, [*LEFT, told(T.ERASED, 6)], ["newsletter"], GOODBYE, False),
        (MailKind.GOODBYE, [told(T.WITHDRAWN, 1, "gone")], ["gone"], GOODBYE, False),
        (MailKind.GOODBYE, LEFT, [], GOODBYE, False),
        (MailKind.LINK, YES, [], {}, True),
        (MailKind.LINK, LEFT, [], {}, True),  # she may see and change what we know, whatever she said
        (MailKind.LINK, [*YES, told(T.RESTRICTED, 5)], [], {}, True),
        (MailKind.LINK, [*YES, told(T.COMPLAINED, 5)], [], {}, True),
        (MailKind.LINK, [*YES, told(T.ERASED, 5)], [], {}, False),
        (MailKind.LINK, [], [], {}, False),
        (MailKind.REPERMISSION, [told(T.IMPORTED, 1, channel="footer")], ["newsletter"], ASKS, True),
        (MailKind.REPERMISSION, [told(T.IMPORTED, 1, channel="footer")], ["newsletter"], {}, False),  # off by default
        (MailKind.REPERMISSION, [told(T.IMPORTED, 1, channel="footer")], [], ASKS, False),
        (MailKind.REPERMISSION, [told(T.IMPORTED, 1, channel="footer")], ["newsletter", "offers"], ASKS, True),
        (
            MailKind.REPERMISSION,
            [told(T.IMPORTED, 1, channel="footer"), *YES],
            ["newsletter"],
            ASKS,
            False,
        ),  # said yes meanwhile
        (
            MailKind.REPERMISSION,
            [told(T.IMPORTED, 1, channel="footer"), told(T.WITHDRAWN, 2)],
            ["newsletter"],
            ASKS,
            False,
        ),
        (MailKind.REPERMISSION, [], ["gone"], ASKS, False),
        (MailKind.ANSWER, LEFT, [], {}, True),
        (MailKind.ANSWER, [told(T.ERASED, 5)], [], {}, False),
        (MailKind.ANSWER, [], [], {}, False),
        (MailKind.IDENTITY, LEFT, [], {}, True),
        (MailKind.IDENTITY, [], [], {}, False),
        (MailKind.MOVE, LEFT, [], {}, True),
        (MailKind.MOVE, [], [], {}, False),
        (MailKind.MOVED, LEFT, [], {}, True),
        (MailKind.MOVED, [], [], {}, False),
        (MailKind.BREACH, YES, [], {}, True),
        (MailKind.BREACH, LEFT, [], {}, True),
        (MailKind.BREACH, [*YES, told(T.COMPLAINED, 5)], [], {}, True),
        (MailKind.BREACH, [*YES, told(T.RESTRICTED, 5)], [], {}, True),
        (MailKind.BREACH, [*YES, told(T.BOUNCED, 5)], [], {}, False),
        (MailKind.BREACH, [*YES, told(T.MOVED, 5)], [], {}, False),
        (MailKind.BREACH, [told(T.ERASED, 5)], [], {}, False),
        (MailKind.BREACH, [], [], {}, False),
    ],
)
def test_each_kind_of_mail_has_its_own_rule(
    kind: MailKind, history: list[ConsentEvent], purposes: list[str], limits: dict[str, Any], *, may_leave: bool
) -> None:
    """SND-01, decision 6: asked just before hand-over; every answer has a reason, unknown is no."""
    answer = gate(kind, history, purposes, at(10), _with(limits), contact=ASKED_NOW)
    assert answer.may is may_leave, answer.why
    if kind is MailKind.REPERMISSION:
        assert not gate(kind, history, purposes, at(10), _with(limits)).may
    assert answer.why
    assert all(answer.why)


def test_a_kind_of_mail_without_a_rule_stays_in() -> None:
    """SND-01: the default answer is no, also for a kind somebody adds tomorrow."""
    answer = gate("newspaper", YES, ["newsletter"], at(10), LIMITS)  # type: ignore[arg-type]  # a kind of tomorrow
    assert not answer.may


def test_every_kind_of_mail_is_in_the_table_above() -> None:
    """SND-01: a new kind of mail needs rows of its own."""
    (mark,) = [m for m in test_each_kind_of_mail_has_its_own_rule.pytestmark if m.name == "parametrize"]  # type: ignore[attr-defined]
    assert {row[0] for row in mark.args[1]} == set(MailKind)


# -- is_news: a second click -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("history", "event", "news"),
    [
        (YES, told(T.WITHDRAWN, 20), True),
        (LEFT, told(T.WITHDRAWN, 20), False),  # the same button again
        (LEFT, told(T.WITHDRAWN, 20, method=M.UNSUBSCRIBE_PAGE), False),
        ([*YES, told(T.UNSUBSCRIBED, 5)], told(T.WITHDRAWN, 20), False),
        ([*YES, told(T.COMPLAINED, 5)], told(T.WITHDRAWN, 20), False),
        ([*LEFT, told(T.REQUESTED, 8)], told(T.WITHDRAWN, 20), True),  # it must stop that request too
        ([*LEFT, told(T.REQUESTED, 5.5)], told(T.WITHDRAWN, 20), True),
        ([*LEFT, told(T.GIVEN, 8, asked=at(7))], told(T.WITHDRAWN, 20), True),
        ([*LEFT, told(T.SUBSCRIBED, 8)], told(T.WITHDRAWN, 20), True),  # an ESP says on: say it again
        ([*LEFT, told(T.REQUESTED, 8, "offers")], told(T.WITHDRAWN, 20), False),  # another list
        ([*LEFT, told(T.CORRECTED, 8, "")], told(T.WITHDRAWN, 20), False),
        (LEFT, told(T.WITHDRAWN, 20, ""), True),  # one list before, all now
        ([*YES, told(T.WITHDRAWN, 5, "")], told(T.WITHDRAWN, 20, ""), False),
        ([*YES, told(T.WITHDRAWN, 5, "")], told(T.WITHDRAWN, 20), False),  # all before, one now
        ([*YES, told(T.WITHDRAWN, 5, ""), told(T.REQUESTED, 8, "offers")], told(T.WITHDRAWN, 20, ""), True),
        ([*YES, told(T.WITHDRAWN, 5, ""), told(T.CORRECTED, 8, "")], told(T.WITHDRAWN, 20, ""), False),
        ([*YES, told(T.WITHDRAWN, 5, ""), told(T.BOUNCED, 8)], told(T.WITHDRAWN, 20, ""), False),
        ([*YES, told(T.EXPIRED, 5)], told(T.WITHDRAWN, 20), True),  # the clock's word is not hers
        ([*YES, told(T.REVOKED, 5)], told(T.WITHDRAWN, 20), True),
        ([], told(T.WITHDRAWN, 20), True),
    ],
)
def test_a_second_click_is_news_only_after_something_new(
    history: list[ConsentEvent], event: ConsentEvent, *, news: bool
) -> None:
    """WDR-10, R5: repeated = no second event; after a new request, or for more than before = news."""
    assert is_news(history, event) is news


def test_an_esps_wrong_clock_does_not_swallow_her_stop() -> None:
    """R1, WDR-04: its stop claims next year; she said yes again since; her click now must count."""
    history = [told(T.GIVEN, 1), told(T.UNSUBSCRIBED, 5, time=at(365 * DAY)), told(T.GIVEN, 100, asked=at(50))]
    assert may(history, 110)
    assert is_news(history, told(T.WITHDRAWN, 120))


# -- decide: the work an event gives -----------------------------------------------------------------------------

ESP_SAYS_ON = told(T.SUBSCRIBED, 20)


@pytest.mark.parametrize(
    ("history", "event", "work"),
    [
        # CON-02: nothing leaves before she confirmed
        ([], told(T.REQUESTED, 20), ""),
        (ASKED, told(T.REQUESTED, 20), ""),
        (ASKED, told(T.CORRECTED, 20, ""), ""),
        (ASKED, told(T.PAUSED, 20, "", until=at(DAY)), ""),
        (ASKED, told(T.RESUMED, 20, ""), ""),
        ([*ASKED, told(T.RESTRICTED, 5)], told(T.UNRESTRICTED, 20), ""),
        ([], told(T.IMPORTED, 20), ""),
        (ASKED, told(T.BOUNCED, 20, ""), ""),  # her confirmation mail came back
        ([*ASKED, *(told(T.DEFERRED, n, "") for n in range(11, 15))], told(T.DEFERRED, 20, ""), ""),
        (ASKED, told(T.RESTRICTED, 20, ""), ""),
        (ASKED, told(T.CHILD_DECLARED, 20, ""), ""),
        # CON-07: one welcome
        (ASKED, told(T.GIVEN, 20), "welcome push"),
        (YES, told(T.GIVEN, 20), "push"),  # again: no second welcome, but she may be put right at the ESP
        (YES, told(T.GIVEN, 20, "offers"), "welcome push"),
        (LEFT, told(T.GIVEN, 20), "welcome push"),
        ([told(T.ENROLLED, 1)], told(T.GIVEN, 20), "welcome push"),
        (LEFT, told(T.GIVEN, 20, asked=at(4)), "push"),  # void: changes nothing, welcomes nobody
        ([], told(T.GIVEN, 20, source="mailchimp", method=M.WEBHOOK), ""),
        ([], told(T.GIVEN, 20, source="operator", method=M.IMPORT), "push"),  # a file mails nobody
        ([], told(T.ENROLLED, 20), "push"),
        # WDR-11, WDR-12: stops go first
        (YES, told(T.WITHDRAWN, 20), "stop goodbye"),
        (YES, told(T.WITHDRAWN, 20, ""), "stop goodbye"),
        (YES, told(T.UNSUBSCRIBED, 20), "stop goodbye"),
        (YES, told(T.OBJECTED, 20), "stop goodbye"),
        (YES, told(T.COMPLAINED, 20), "stop"),  # R6: no mail at all
        (YES, told(T.BOUNCED, 20), "stop"),
        (YES, told(T.EXPIRED, 20), "stop"),
        (YES, told(T.REVOKED, 20), "stop"),
        (YES, told(T.INVALIDATED, 20), "stop"),
        (YES, told(T.REFUSED, 20), "stop"),
        (YES, told(T.ERASED, 20), "stop"),
        (YES, told(T.RESTRICTED, 20), "stop"),
        (YES, told(T.CHILD_DECLARED, 20), "stop"),
        ([*YES, *(told(T.DEFERRED, n) for n in range(11, 15))], told(T.DEFERRED, 20), "stop"),  # the fifth
        (YES, told(T.DEFERRED, 20), ""),
        (ASKED, told(T.WITHDRAWN, 20), "stop"),  # nothing stood: no goodbye
        (LEFT, told(T.WITHDRAWN, 20), "stop"),  # her own word always goes out
        (LEFT, told(T.COMPLAINED, 20), "stop"),
        ([*YES, told(T.COMPLAINED, 5)], told(T.WITHDRAWN, 20), "stop"),
        ([], told(T.WITHDRAWN, 20), "stop"),
        # echoes of our own pushes
        (LEFT, told(T.UNSUBSCRIBED, 20), ""),
        ([*YES, told(T.WITHDRAWN, 5, "")], told(T.UNSUBSCRIBED, 20), ""),
        ([*YES, told(T.COMPLAINED, 5)], told(T.COMPLAINED, 20), ""),
        ([*YES, told(T.BOUNCED, 5)], told(T.BOUNCED, 20), ""),
        (YES, ESP_SAYS_ON, ""),
        # ESP-01: it says on, we say off
        ([], ESP_SAYS_ON, "stop"),
        (ASKED, ESP_SAYS_ON, "stop"),
        (LEFT, ESP_SAYS_ON, "stop"),
        ([*YES, told(T.BOUNCED, 5)], ESP_SAYS_ON, "stop"),
        ([*YES, told(T.RESTRICTED, 5)], ESP_SAYS_ON, "stop"),
        ([told(T.GIVEN, -1096 * DAY)], ESP_SAYS_ON, "stop"),  # too old, though no event says so yet
        (YES, told(T.SUBSCRIBED, 20, "offers"), "stop"),
        (YES, told(T.MOVED, 20, "", source="mailchimp", method=M.WEBHOOK), "stop"),  # the new mailbox has not answered
        # told though no status changed
        (YES, told(T.PAUSED, 20, "", until=at(DAY)), "push"),
        (YES, told(T.RESUMED, 20), "push"),
        (YES, told(T.CORRECTED, 20, ""), "push"),
        (LEFT, told(T.MOVED, 20, "", source="mailchimp", method=M.WEBHOOK), "push"),
        (YES, told(T.MOVED, 20, "", source="reader", method=M.CONFIRM_PAGE), "push"),  # the new mailbox has answered
        ([*YES, told(T.RESTRICTED, 5)], told(T.UNRESTRICTED, 20), "push"),
        ([*YES, told(T.BOUNCED, 5)], told(T.GIVEN, 20), "push"),  # the block is lifted
        (YES, told(T.IMPORTED, 20), ""),
        (YES, told(T.REQUESTED, 20), ""),
        (YES, told(T.MERGED, 20), ""),
    ],
)
def test_what_an_event_gives_to_do(history: list[ConsentEvent], event: ConsentEvent, work: str) -> None:
    """CON-02, CON-07, WDR-11, WDR-12, ESP-01: the work of each change, in a country that asks for a goodbye."""
    assert decide(history, event, _with(GOODBYE)).work == {Work(name) for name in work.split()}
    without = {Work(name) for name in work.split()} - {Work.GOODBYE}
    assert decide(history, event, LIMITS).work == without


def test_a_decision_tells_every_purpose_before_and_after() -> None:
    """Decision 4: a stop for the person is folded into every purpose she has."""
    decision = decide(BOTH, told(T.WITHDRAWN, 10, ""), LIMITS)
    assert decision.before == {"newsletter": S.GIVEN, "offers": S.GIVEN}
    assert decision.after == {"newsletter": S.WITHDRAWN, "offers": S.WITHDRAWN}


# -- missing_evidence --------------------------------------------------------------------------------------------

_WORDS = {"wording": "ab" * 32, "language": "nl"}
PROOFS: dict[str, tuple[ConsentEvent, set[str]]] = {
    "form": (
        told(T.REQUESTED, 1, evidence=Evidence(**_WORDS, box="ticked", request="r")),
        {"channel", "notice", "wording", "language", "box"},
    ),
    "confirm page": (
        told(T.GIVEN, 1, evidence=Evidence(**_WORDS, request="r")),
        {"channel", "notice", "wording", "language", "asked", "request"},
    ),
    "preference page": (
        told(T.GIVEN, 1, method=M.PREFERENCE_PAGE, evidence=Evidence(**_WORDS, box="ticked")),
        {"channel", "notice", "wording", "language", "asked", "box"},
    ),
    "single opt-in": (
        told(T.GIVEN, 1, method=M.FORM, evidence=Evidence(**_WORDS, box="ticked", single_opt_in="a reason")),
        {"channel", "notice", "wording", "language", "asked", "box", "single_opt_in"},
    ),
    "paper": (
        told(
            T.GIVEN, 1, source="operator", method=M.STAFF, asked=None, evidence=Evidence(**_WORDS, document="letter-7")
        ),
        {"channel", "notice", "wording", "language", "document"},
    ),
    "purchase": (
        told(T.ENROLLED, 1, channel="shop", evidence=Evidence(sale=FACTS)),
        {"channel", *SALE_FACTS},
    ),
}


def _without(event: ConsentEvent, field: str) -> ConsentEvent:
    """The same event with one field missing."""
    if field in SALE_FACTS:
        sale = {name: value for name, value in (event.evidence.sale or {}).items() if name != field}
        return msgspec.structs.replace(event, evidence=Evidence(sale=sale))
    if field in event.__struct_fields__:
        return msgspec.structs.replace(event, **{field: None})
    return msgspec.structs.replace(event, evidence=msgspec.structs.replace(event.evidence, **{field: None}))


@pytest.mark.parametrize("name", PROOFS)
def test_a_start_needs_each_field_of_its_proof(name: str) -> None:
    """CAP-05: complete as it is; with any one field dropped, exactly that one is named."""
    event, fields = PROOFS[name]
    assert missing_evidence(event) == []
    for field in fields:
        assert missing_evidence(_without(event, field)) == [field]


def test_a_box_that_was_not_ticked_proves_nothing() -> None:
    """CAP-01, CAP-05: only the state "ticked" as posted."""
    event, _ = PROOFS["form"]
    for box in ("", "on", "unticked"):
        evidence = msgspec.structs.replace(event.evidence, box=box)
        assert missing_evidence(msgspec.structs.replace(event, evidence=evidence)) == ["box"]


@pytest.mark.parametrize("kind", [t for t in T if t not in (T.REQUESTED, T.GIVEN, T.ENROLLED)])
@pytest.mark.parametrize("method", list(M))
def test_nothing_but_a_start_ever_lacks_proof(kind: EventType, method: Method) -> None:
    """GDPR 7(3), WDR-13: a stop is taken as it comes, by every road."""
    for source in ("reader", "operator", "mailchimp", "system"):
        assert missing_evidence(told(kind, 1, source=source, method=method)) == []


# -- all histories -----------------------------------------------------------------------------------------------

#: Seconds and a few fractions close together, so that ties happen; now and then hours or months.
_moments = st.one_of(
    st.integers(0, 8).map(float),
    st.sampled_from([2.25, 2.5, 3.75, 299.0, 300.0, 301.0, 305.0]),
    st.integers(0, 40).map(lambda minutes: minutes * 60.0),
    st.integers(0, 1200).map(lambda days: float(days * DAY)),
)
_sources = st.sampled_from(["reader", "reader", "operator", "system", "mailchimp", "sendgrid"])
_purposes = st.sampled_from(["newsletter", "newsletter", "offers", "", "gone"])


@st.composite
def _events(draw: st.DrawFn) -> ConsentEvent:
    """Anything by anyone by any road, at any time, heard at once, late, or before it claims to have happened."""
    moment = draw(_moments)
    return ConsentEvent(
        type=draw(st.sampled_from(EventType)),
        subject="an",
        time=at(moment),
        received=at(moment + draw(st.sampled_from([0.0, 0.0, 0.0, 1.0, 60.0, -10.0, -300.0, -301.0, -4000.0]))),
        source=draw(_sources),
        method=draw(st.sampled_from([*Method, M.CONFIRM_PAGE, M.PREFERENCE_PAGE])),
        key="",
        purpose=draw(_purposes),
        asked=draw(st.one_of(st.none(), _moments.map(at), st.just(at(max(0.0, moment - 1))), st.just(at(moment)))),
        until=draw(st.one_of(st.none(), _moments.map(at))),
        channel="footer",
        notice=draw(st.sampled_from([None, 1, 1, 2])),
    )


@st.composite
def _histories(draw: st.DrawFn, *, most: int = 9) -> list[ConsentEvent]:
    """A few such events, each with a key of its own. Often one good yes among them, else few would ever be mailable."""
    found = draw(st.lists(_events(), max_size=most))
    if draw(st.booleans()):
        moment = draw(_moments)
        found.append(told(T.GIVEN, moment, asked=at(draw(_moments))))
    return [msgspec.structs.replace(event, key=f"k{number}") for number, event in enumerate(found)]


_LIMITS = st.sampled_from([LIMITS, SOFT, _with({"closed": {"offers": "no contract"}}), _with(GOODBYE)])
MOST = settings(max_examples=250, deadline=None)


def _answers(events: Sequence[ConsentEvent], now: datetime, limits: Limits) -> object:
    """All that is ever asked about a person."""
    return (
        [may_mail(events, purpose, now, limits) for purpose in ("newsletter", "offers", "gone", "")],
        {block: event.key for block, event in blocks(events, limits).items()},
        [pending(events, purpose, now, limits) for purpose in ("newsletter", "offers")],
        [may_ask(events, purpose, now, limits) for purpose in ("newsletter", "offers")],
        is_news(events, told(T.WITHDRAWN, 5000 * DAY)),
    )


@MOST
@given(_histories(), _LIMITS, _moments, st.data())
def test_any_order_and_any_repetition_give_the_same_answer(
    history: list[ConsentEvent], limits: Limits, now: float, data: st.DataObject
) -> None:
    """R1, ESP-03, decision 3: the news is a set; copies that arrive later change nothing."""
    copies = data.draw(st.lists(st.sampled_from(history), max_size=5)) if history else []
    later = [msgspec.structs.replace(e, received=e.received + timedelta(hours=n)) for n, e in enumerate(copies)]
    shuffled = data.draw(st.permutations([*history, *later]))
    assert _answers(shuffled, at(now), limits) == _answers(history, at(now), limits)


_SAYS_NO = {
    "refused",
    "withdrawn",
    "unsubscribed",
    "objected",
    "complained",
    "expired",
    "revoked",
    "invalidated",
    "erased",
}


def _heard(event: ConsentEvent) -> datetime:
    """When it counts as having happened: as told, but never more than five minutes ahead of our hearing it."""
    return event.received if event.time > event.received + timedelta(minutes=5) else event.time


def _second(moment: datetime) -> int:
    return int(moment.timestamp())


def _has_fresh_yes(history: Collection[ConsentEvent], purpose: str) -> bool:
    """The law in other words than the code's: her own confirmed yes for this very purpose, to a question put in a later
    second than every stop that concerns it."""
    stops = [
        _second(_heard(event))
        for event in history
        if event.type in _SAYS_NO and (event.purpose in ("", purpose) or event.type in ("objected", "complained"))
    ]
    yeses = [
        min(_second(event.asked), _second(_heard(event)))
        for event in history
        if event.type == "given"
        and event.purpose == purpose
        and event.source == "reader"
        and event.method in ("confirm_page", "preference_page")
        and event.asked is not None
    ]
    return not stops or any(asked > max(stops) for asked in yeses)


@settings(max_examples=600, deadline=None)
@given(_histories(), _LIMITS, _moments)
def test_without_a_fresh_confirmed_yes_after_the_last_stop_nobody_is_mailed(
    history: list[ConsentEvent], limits: Limits, now: float
) -> None:
    """R2, R3, decision 1, GDPR 7(3): over all histories."""
    for purpose in ("newsletter", "offers", "gone", ""):
        if not _has_fresh_yes(history, purpose):
            assert status(history, purpose) not in MAILABLE
            assert not may_mail(history, purpose, at(now), limits).may
            assert not gate(MailKind.MARKETING, history, [purpose], at(now), limits).may
            assert not gate(MailKind.WELCOME, history, [purpose], at(now), limits).may


@MOST
@given(_histories(), _histories(most=5), _LIMITS, _moments)
def test_no_machine_file_esp_or_clerk_undoes_a_stop(
    history: list[ConsentEvent], news: list[ConsentEvent], limits: Limits, now: float
) -> None:
    """R3, ESP-01, CHN-05: whatever others say afterwards, and however often, a stopped person stays stopped."""
    stop = told(T.WITHDRAWN, 3000 * DAY, key="stop")
    others = [msgspec.structs.replace(e, key=f"n{e.key}") for e in news if e.source != "reader"]
    later = [msgspec.structs.replace(e, time=e.time + timedelta(days=3001), key=f"l{e.key}") for e in others]
    assert not may_mail([*history, stop, *others, *later], "newsletter", at(now), limits).may


@MOST
@given(_histories(), _events(), _LIMITS)
def test_a_decision_is_what_the_whole_history_says(
    history: list[ConsentEvent], event: ConsentEvent, limits: Limits
) -> None:
    """R1: what the door writes is what a reader of all events would compute."""
    event = msgspec.structs.replace(event, key="one more")
    decision = decide(history, event, limits)
    assert decision.before == {purpose: status(history, purpose) for purpose in decision.after}
    assert decision.after == {purpose: status([*history, event], purpose) for purpose in decision.after}
    assert {e.purpose for e in (*history, event)} - {""} == set(decision.after)


@MOST
@given(
    _histories(), st.sampled_from(sorted(_SAYS_NO)), st.sampled_from(["", "newsletter"]), _sources, _LIMITS, _moments
)
def test_a_stop_after_everything_else_ends_the_mail(
    history: list[ConsentEvent], kind: str, purpose: str, source: str, limits: Limits, now: float
) -> None:
    """GDPR 7(3), WDR-04: anyone's word stops the mail, from that moment."""
    last = max((_heard(event) for event in history), default=START)
    stop = told(EventType(kind), 0, purpose, time=last, received=last, source=source, key="stop")
    assert not may_mail([*history, stop], "newsletter", at(now), limits).may


@MOST
@given(_histories(), _events(), _LIMITS)
@example(YES, told(T.MOVED, 20, "", source="mailchimp", method=M.WEBHOOK), LIMITS)
def test_whoever_may_no_longer_be_mailed_is_told_to_the_esps_first(
    history: list[ConsentEvent], event: ConsentEvent, limits: Limits
) -> None:
    """WDR-11: if one more event closes a purpose by a stop or a block, a push that goes first is promised."""
    event = msgspec.structs.replace(event, key="one more")
    if event.type in (T.PAUSED, T.RESUMED):
        return  # no stop: an ordinary push
    later, now = [*history, event], at(2000 * DAY)
    unaged = msgspec.structs.replace(
        limits, consent_max_age=timedelta(days=9000), soft_max_age=timedelta(days=9000), closed={}
    )

    def on(told_so_far: list[ConsentEvent]) -> set[str]:
        return {p for p in ("newsletter", "offers") if may_mail(told_so_far, p, now, unaged).may}

    work = decide(history, event, unaged).work
    if on(history) - on(later):
        assert work & {Work.STOP, Work.PUSH}
        assert Work.STOP in work or event.type is T.GIVEN  # a yes to older words lowers, and stops nobody
    if on(later) - on(history):
        assert Work.PUSH in work
