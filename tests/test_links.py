"""Signed links in mails: GDPR 7(3) "at any time", RFC 8058 section 3.1 (hard to forge), ASVS 5.0 9.1 and 9.2."""

import base64
import hmac
import json
import re
import string
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import product
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from itsdangerous import URLSafeSerializer

from bridge.links import FRESH_LIFE, Action, BadLink, Claim, ExpiredLink, Links
from bridge.vault import new_id

MADE = datetime(2026, 11, 23, 10, 0, 0, tzinfo=UTC)
OLD, MIDDLE, NEW = b"o" * 32, b"m" * 32, b"n" * 32
SUBJECT, REQUEST = "Zk3vQ0b6cZ1dYk0aJx0q7A", "h2m-9_WqT5uRe8LpN3sVbw"
EMAIL = "an.vandenberg@lezer.example"
BASE = "https://keuzes.dagwijzer.example"
ALPHABET = string.ascii_letters + string.digits + "-_"


def links(*keys: bytes) -> Links:
    """A link maker; newest key first."""
    return Links(list(keys or (NEW,)), BASE)


def claim(action: Action = Action.STOP, **more: Any) -> Claim:
    """An's claim."""
    fields: dict[str, Any] = {"subject": SUBJECT, "address": links().mark(EMAIL), "made": MADE}
    fields["request" if action is Action.CONFIRM else "purpose"] = REQUEST if action is Action.CONFIRM else "newsletter"
    return Claim(action=action, **(fields | more))


def signed(payload: object, action: Action = Action.STOP, key: bytes = NEW) -> str:
    """Anything at all, signed by a key of ours: what a thief of the key or a bug of ours could make."""
    options = {"key_derivation": "hmac", "digest_method": sha256}
    token = URLSafeSerializer(key, salt=f"consent-bridge.{action}", signer_kwargs=options).dumps(payload)
    return token if isinstance(token, str) else token.decode()


@pytest.mark.parametrize("action", Action)
def test_a_link_says_what_was_put_in(action: Action) -> None:
    """KEY-01: the round trip; times are kept in whole seconds."""
    made = links()
    assert made.read(action, made.token(claim(action)), MADE) == claim(action)
    exact = claim(action, made=MADE + timedelta(microseconds=999_999))
    assert made.read(action, made.token(exact), MADE) == claim(action)


@pytest.mark.parametrize(("made_as", "read_as"), [pair for pair in product(Action, repeat=2) if pair[0] != pair[1]])
def test_a_link_is_good_for_one_action_only(made_as: Action, read_as: Action) -> None:
    """KEY-01, CON-04, PRF-03: one salt per action; a stop link never confirms, a confirm link never opens a page."""
    with pytest.raises(BadLink):
        links().read(read_as, links().token(claim(made_as)), MADE)


@pytest.mark.parametrize("action", Action)
def test_every_cut_of_a_link_is_refused(action: Action) -> None:
    """WDR-10: mail programs break long lines."""
    token = links().token(claim(action))
    for length in range(len(token)):
        for part in (token[:length], token[length + 1 :]):
            with pytest.raises(BadLink):
                links().read(action, part, MADE)


def test_every_one_character_change_is_refused() -> None:
    """KEY-01: no other spelling of a token is a token, not even where base64 has bits to spare at the end."""
    made, token = links(), links().token(claim())
    others = ALPHABET + ".=+/ !\n\x00é%"
    for place, letter in product(range(len(token)), others):
        if token[place] == letter:
            continue
        with pytest.raises(BadLink):
            made.read(Action.STOP, token[:place] + letter + token[place + 1 :], MADE)


def test_nothing_can_be_added_to_a_link() -> None:
    """KEY-01: one link, one spelling: base64 readers skip what they do not know."""
    made, token = links(), links().token(claim())
    for place, letter in product(range(len(token) + 1), ALPHABET + ".=+/ !\n\x00é"):
        with pytest.raises(BadLink):
            made.read(Action.STOP, token[:place] + letter + token[place:], MADE)


@given(st.text(max_size=300))
@example("")
@example(".")
@example("..")
@example("\ud800")
@example("W10." + "A" * 43)
@settings(max_examples=200, deadline=None)
def test_no_text_at_all_is_a_link_by_chance(text: str) -> None:
    """KEY-01, WDR-10: whatever arrives in the path is refused in one way."""
    for action in Action:
        with pytest.raises(BadLink):
            links().read(action, text, MADE)


def test_another_houses_link_is_refused() -> None:
    """KEY-01: same claim, other key."""
    with pytest.raises(BadLink):
        links(NEW).read(Action.STOP, links(OLD).token(claim()), MADE)


def test_links_are_signed_with_hmac_sha256_under_a_derived_key() -> None:
    """KEY-01: computed anew here: not the library's SHA-1, not its plain key."""
    payload, _, signature = links().token(claim()).rpartition(".")
    derived = hmac.digest(NEW, b"consent-bridge.stop", "sha256")
    made = base64.urlsafe_b64encode(hmac.digest(derived, payload.encode(), "sha256")).rstrip(b"=").decode()
    assert made == signature


# -- time --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [(OLD,), (NEW, OLD), (NEW, MIDDLE, OLD)])
def test_a_stop_link_works_ten_years_later_under_the_oldest_key(keys: tuple[bytes, ...]) -> None:
    """WDR-09, KEY-02: it never expires and survives every change of keys."""
    token = links(OLD).token(claim())
    assert links(*keys).read(Action.STOP, token, MADE + timedelta(days=3653)) == claim()


def test_the_newest_key_signs_and_all_kept_keys_verify() -> None:
    """KEY-02: the rotation drill: add a key in front, later drop the oldest."""
    rotated = links(NEW, MIDDLE, OLD)
    token = rotated.token(claim())
    assert token == links(NEW).token(claim())
    for key in (NEW, MIDDLE, OLD):
        assert rotated.read(Action.STOP, links(key).token(claim()), MADE) == claim()
    with pytest.raises(BadLink):
        links(NEW, MIDDLE).read(Action.STOP, links(OLD).token(claim()), MADE)


@pytest.mark.parametrize(
    ("action", "life"),
    [(Action.CONFIRM, timedelta(hours=72)), (Action.FRESH, FRESH_LIFE), (Action.CONFIRM, timedelta(0))],
)
def test_a_link_with_a_life_ends_to_the_second(action: Action, life: timedelta) -> None:
    """CON-04, decision 8: the last second works, one more is too late, and says so apart from "not ours"."""
    made, token = links(), links().token(claim(action))
    assert made.read(action, token, MADE + life, life) == claim(action)
    if life:
        assert made.read(action, token, MADE + life - timedelta(seconds=1), life) == claim(action)
    with pytest.raises(ExpiredLink):
        made.read(action, token, MADE + life + timedelta(seconds=1), life)


def test_a_fresh_link_lives_half_an_hour() -> None:
    """PRF-03, decision 8."""
    assert timedelta(minutes=30) == FRESH_LIFE


def test_an_expired_forgery_is_a_forgery() -> None:
    """WDR-10: no hint about what an unsigned token says."""
    token = links(OLD).token(claim(Action.CONFIRM))
    with pytest.raises(BadLink) as refused:
        links(NEW).read(Action.CONFIRM, token, MADE + timedelta(days=99), timedelta(hours=72))
    assert not isinstance(refused.value, ExpiredLink)


def test_a_link_from_the_future_is_refused() -> None:
    """R1, R2: a question cannot have been put after now, or it would pass a stop to come; clocks may differ a little."""
    token = links().token(claim(Action.FRESH))
    assert links().read(Action.FRESH, token, MADE - timedelta(minutes=5)) == claim(Action.FRESH)
    with pytest.raises(BadLink):
        links().read(Action.FRESH, token, MADE - timedelta(minutes=5, seconds=1))


def test_a_stop_link_works_whatever_the_clock_says() -> None:
    """WDR-09: a machine whose clock was set back, or another machine's, must not refuse a no."""
    token = links().token(claim())
    assert links().read(Action.STOP, token, MADE - timedelta(days=400)) == claim()


# -- what a link holds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", Action)
def test_a_link_shows_no_personal_data(action: Action) -> None:
    """KEY-01, WEB-02: decoded, it holds a version, a random id, a keyed hash, a time and a purpose or request."""
    token = links().token(claim(action))
    payload = token.partition(".")[0]
    seen = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    last = ["", REQUEST] if action is Action.CONFIRM else ["newsletter"]
    assert seen == [1, SUBJECT, links().mark(EMAIL), int(MADE.timestamp()), *last]
    words = json.dumps(seen).lower()
    for part in ("an.vandenberg", "vandenberg", "lezer", "@", sha256(EMAIL.encode()).hexdigest()[:10]):
        assert part not in words


@pytest.mark.parametrize(
    ("action", "path", "purpose", "request_id"),
    [
        (Action.CONFIRM, "/confirm/", "", True),
        (Action.STOP, "/u/", "p" * 32, False),
        (Action.STOP, "/preferences/", "p" * 32, False),
        (Action.STOP, "/my-data/", "p" * 32, False),
        (Action.FRESH, "/preferences/", "", False),
        (Action.FRESH, "/my-data/", "p" * 32, False),
    ],
)
def test_a_link_is_at_most_250_bytes(action: Action, path: str, purpose: str, *, request_id: bool) -> None:
    """Issue 2: with a base of 60 characters and a purpose id of 32, for a thousand people each and for a century."""
    maker = Links([NEW], "https://" + "k" * 44 + ".example")
    assert len(maker.base_url) == 60
    for _ in range(1000):
        request = new_id() if request_id else ""
        made = claim(action, subject=new_id(), purpose=purpose, request=request, made=MADE + timedelta(days=36_525))
        assert len(maker.url(path, maker.token(made)).encode()) <= 250


def test_a_link_is_fit_for_a_header_and_a_path() -> None:
    """RFC 2369 section 2, WEB-04: unreserved characters only, on the configured base, one slash between."""
    maker = Links([NEW], BASE + "/")
    url = maker.url("/u/", maker.token(claim()))
    assert re.fullmatch(re.escape(BASE) + r"/u/[A-Za-z0-9_.\-]+", url)


@given(st.sampled_from(Action), st.integers(0, 4_000_000_000), st.text(max_size=32), st.text(max_size=30))
@settings(max_examples=100, deadline=None)
def test_the_same_claim_gives_the_same_link(action: Action, seconds: int, purpose: str, request: str) -> None:
    """Decision 25: a mail that is sent again is the same mail; and any claim comes back as it was."""
    made = datetime.fromtimestamp(seconds, UTC)
    mine = Claim(action=action, subject=SUBJECT, address="0123456789", made=made, purpose=purpose, request=request)
    token = links().token(mine)
    assert token == Links([NEW], "https://elders.example").token(msgspec.structs.replace(mine))
    assert links().read(action, token, made) == mine


# -- the mark of an address --------------------------------------------------------------------------------------


def test_the_mark_of_an_address_outlives_new_keys() -> None:
    """Decision 9, KEY-02: old links find whoever holds the address now, whatever keys came since."""
    mark = links(OLD).mark(EMAIL)
    assert links(NEW, OLD).mark(EMAIL) == links(NEW, MIDDLE, OLD).mark(EMAIL) == mark
    assert links(NEW).mark(EMAIL) != mark
    assert links(OLD).mark(" An.VandenBerg@LEZER.example ") == mark
    assert links(OLD).mark("dirk@lezer.example") != mark


def test_the_mark_is_keyed_and_short() -> None:
    """SUP-02, decision 9: 60 bits under a key of its own use, never a plain hash of the address."""
    mark = links().mark(EMAIL)
    assert re.fullmatch(r"[A-Za-z0-9_-]{10}", mark)
    for plain in (sha256(EMAIL.encode()), sha256(NEW + EMAIL.encode()), hmac.new(NEW, EMAIL.encode(), sha256)):
        assert base64.urlsafe_b64encode(plain.digest()).decode()[:10] != mark
        assert not plain.hexdigest().startswith(mark.lower())


# -- signed nonsense ---------------------------------------------------------------------------------------------

GOOD: list[Any] = [1, SUBJECT, "0123456789", int(MADE.timestamp()), "newsletter"]


def _but(place: int, value: object) -> list[Any]:
    return [*GOOD[:place], value, *GOOD[place + 1 :]]


@pytest.mark.parametrize(
    "payload",
    [
        _but(0, 2),
        _but(0, 0),
        _but(0, "1"),
        _but(0, True),
        _but(0, 1.0),
        _but(1, 7),
        _but(1, None),
        _but(1, [SUBJECT]),
        _but(2, None),
        _but(2, {"a": "b"}),
        _but(3, "1790000000"),
        _but(3, 1_790_000_000.5),
        _but(3, True),
        _but(3, None),
        _but(3, 10**11),  # beyond the year 9999 in seconds
        _but(3, 253_402_300_799),  # its very last second
        _but(3, 2**63),
        _but(3, -(2**63)),
        _but(3, 10**300),
        _but(3, [1_790_000_000]),
        _but(4, None),
        _but(4, 3),
        _but(4, ["newsletter"]),
        [*GOOD, 5],
        [*GOOD, None],
        [*GOOD, "request", "more"],
        GOOD[:4],
        [],
        [[[[[[]]]]]],
        {},
        {"subject": SUBJECT},
        "text",
        None,
        True,
        1,
        json.loads("[" * 500 + "]" * 500),
    ],
    ids=lambda payload: str(payload)[:40],
)
def test_a_signed_payload_of_another_shape_is_refused(payload: object) -> None:
    """KEY-01: even with our signature: wrong types, huge numbers, truth values and nested lists are no links."""
    for life in (None, timedelta(hours=72)):
        with pytest.raises(BadLink):
            links().read(Action.FRESH, signed(payload, Action.FRESH), MADE, life)


_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(_json | st.tuples(st.integers(0, 5), _json).map(lambda change: _but(*change)))
@settings(max_examples=300, deadline=None)
def test_reading_gives_a_claim_or_bad_link_and_nothing_else(payload: object) -> None:
    """KEY-01: over all JSON values under our own signature."""
    try:
        read = links().read(Action.STOP, signed(payload), MADE, timedelta(hours=72))
    except BadLink:
        return
    assert isinstance(payload, list)
    assert [type(part) for part in payload] == [int, str, str, int, str, str][: max(5, len(payload))]
    assert read.made <= MADE + timedelta(minutes=5)
