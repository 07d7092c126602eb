"""Keys and sealed data: GDPR 32, CNIL on stop lists, FIPS 198-1; format 1 of an event, read as a stranger would read it."""

import hmac
import json
import unicodedata
import zlib
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import combinations
from typing import Any

import idna
import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.mac import mac
from bridge.vault import (
    FIRST,
    Key,
    Sealed,
    Vault,
    about_event,
    canonical,
    digest,
    from_canonical,
    new_id,
    new_key,
    new_typed_id,
    pack,
    parse_keys,
    seal,
    unpack,
    unseal,
)
from bridge.vocabulary import REPORTED, ConsentEvent, EventType, Evidence, Method, normal_email

EMAIL = "an.vandenberg@lezer.example"
OLD, NEW = Key("v1", bytes(range(32, 64))), Key("v2", bytes(range(64, 96)))
SUBJECT = "Zk3vQ0b6cZ1dYk0aJx0q7A"


def hkdf(root: bytes, use: str) -> bytes:
    """RFC 5869 with SHA-256, no salt, 32 bytes: written out here, so that the stored hashes can be rebuilt without us."""
    fixed = hmac.digest(bytes(32), root, "sha256")
    return hmac.digest(fixed, f"consent-bridge {use}".encode() + b"\x01", "sha256")


# -- addresses as keyed hashes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lookups", "stop_hashes"])
def test_the_same_address_under_another_key_is_another_value(name: str) -> None:
    """SUP-02: the secret decides; and a plain hash of the address appears nowhere."""
    (one,), (other,) = getattr(Vault([OLD]), name)(EMAIL), getattr(Vault([NEW]), name)(EMAIL)
    assert (one.kid, other.kid) == ("v1", "v2")
    assert one.value != other.value
    assert len(one.value) == (16 if name == "lookups" else 32)
    for text in (EMAIL, EMAIL.upper(), normal_email(EMAIL)):
        plain = sha256(text.encode())
        keyed_with_the_root = hmac.digest(OLD.secret, text.encode(), "sha256")
        assert one.value not in (plain.digest(), plain.hexdigest().encode(), keyed_with_the_root)


def test_a_stop_hash_is_hmac_sha256_under_a_key_used_for_nothing_else() -> None:
    """SUP-02: rebuilt here by RFC 5869 and FIPS 198-1 alone, and pinned: rows must be found by every later version."""
    (stop,) = Vault([OLD]).stop_hashes(EMAIL)
    assert stop.value == hmac.digest(hkdf(OLD.secret, "stop list"), EMAIL.encode(), "sha256")
    assert stop.value.hex() == "60894203809aee31bc3f0a469aeb15a5da5d29f7c8cacda2c5ead1b90e132282"
    (lookup,) = Vault([OLD]).lookups(EMAIL)
    assert lookup.value == hmac.digest(hkdf(OLD.secret, "address lookup"), EMAIL.encode(), "sha256")[:16]


def test_an_address_is_known_under_every_root_newest_first() -> None:
    """KEY-03: an old row is found after a new root came; only the newest makes new rows."""
    vault = Vault([NEW, OLD])
    assert (vault.newest, vault.kids) == ("v2", ("v2", "v1"))
    assert vault.stop_hashes(EMAIL) == Vault([NEW]).stop_hashes(EMAIL) + Vault([OLD]).stop_hashes(EMAIL)
    assert vault.lookups(EMAIL) == Vault([NEW]).lookups(EMAIL) + Vault([OLD]).lookups(EMAIL)
    assert vault.report_keys("news") == Vault([NEW]).report_keys("news") + Vault([OLD]).report_keys("news")


#: How it is typed, and how it is compared.
ADDRESSES = [
    ("an@lezer.example", "an@lezer.example"),
    ("An@Lezer.Example", "an@lezer.example"),
    ("AN.VANDENBERG@LEZER.EXAMPLE", "an.vandenberg@lezer.example"),
    ("  an@lezer.example\t\r\n", "an@lezer.example"),
    ("\u00a0an@lezer.example\u3000", "an@lezer.example"),
    ("an+krant@lezer.example", "an+krant@lezer.example"),  # tags are kept
    ("AN+Krant@lezer.example", "an+krant@lezer.example"),
    ("a.n.b@lezer.example", "a.n.b@lezer.example"),  # dots are kept
    ("an@bücher.example", "an@xn--bcher-kva.example"),
    ("an@BÜCHER.example", "an@xn--bcher-kva.example"),
    ("an@bu\u0308cher.example", "an@xn--bcher-kva.example"),  # decomposed
    ("an@XN--BCHER-KVA.example", "an@xn--bcher-kva.example"),
    ("an@faß.example", "an@xn--fa-hia.example"),  # another owner than fass.example
    ("an@fass.example", "an@fass.example"),
    ("an@例え.example", "an@xn--r8jz45g.example"),
    ("an@ＬＥＺＥＲ。example", "an@lezer.example"),  # full width, ideographic stop
    ("renée@lezer.example", "renée@lezer.example"),
    ("RENE\u0301E@lezer.example", "renée@lezer.example"),  # decomposed, upper case
    ("J\u030cin@lezer.example", "\u01f0in@lezer.example"),  # composes only in lower case
    ('"an@werk"@Lezer.example', '"an@werk"@lezer.example'),  # the last at sign divides
    ("an@foo_bar.Example", "an@foo_bar.example"),  # no name on the internet: as it is
    ("an@xn--a.example", "an@xn--a.example"),  # a broken label: as it is
]


@pytest.mark.parametrize(("typed", "compared"), ADDRESSES)
def test_an_address_is_compared_in_one_form(typed: str, compared: str) -> None:
    """SUP-03: trimmed, NFC, lower case, domain as A-labels; nothing is guessed about dots and tags."""
    assert normal_email(typed) == compared
    assert normal_email(compared) == compared
    assert Vault([OLD]).stop_hashes(typed) == Vault([OLD]).stop_hashes(compared)
    assert Vault([OLD]).lookups(typed) == Vault([OLD]).lookups(compared)


def test_different_people_stay_different() -> None:
    """SUP-03: a dot, a tag, ß and ss each make another address."""
    different = {compared for _typed, compared in ADDRESSES}
    hashes = {Vault([OLD]).stop_hashes(email)[0].value for email in different}
    assert len(hashes) == len(different)


@given(st.emails() | st.text(max_size=40).map(lambda local: f"{local}@lezer.example"))
@settings(max_examples=300, deadline=None)
def test_comparing_is_stable_and_never_fails(email: str) -> None:
    """SUP-03: composed or not, whatever is typed has one form."""
    once = normal_email(email)
    assert once.count("@") == unicodedata.normalize("NFC", email).count("@")
    assert normal_email(unicodedata.normalize("NFC", email)) == once
    assert normal_email(f" {email} ") == normal_email(email.strip())


@given(st.text(st.characters(max_codepoint=127), max_size=40) | st.from_regex(r"\A(xn--)?[A-Za-z0-9_.-]{1,70}\Z"))
@settings(max_examples=500, deadline=None)
def test_a_plain_domain_is_its_own_a_label(domain: str) -> None:
    """SUP-03: of a domain in ASCII, IDNA 2008 makes what it is in lower case, or nothing at all."""
    try:
        alabel = idna.encode(f"an@{domain}".strip().lower().rpartition("@")[2], uts46=True).decode("ascii")
    except UnicodeError:
        return
    assert normal_email(f"an@{domain}").rpartition("@")[2] == alabel


# -- one key per use ---------------------------------------------------------------------------------------------

USES = ("stop list", "address lookup", "throttle", "report keys", "wrapping")


def test_no_two_uses_share_a_key() -> None:
    """SUP-02, KEY-02, decision 17: five uses of a root, five keys; each is what RFC 5869 gives for its name."""
    vault, text = Vault([OLD]), "an@lezer.example"
    derived = [hkdf(OLD.secret, use) for use in USES]
    assert len({OLD.secret, *derived}) == len(USES) + 1
    macs = {use: hmac.digest(key, text.encode(), "sha256") for use, key in zip(USES, derived, strict=True)}
    seen = {
        "stop list": vault.stop_hashes(text)[0].value,
        "address lookup": vault.lookups(text)[0].value,
        "report keys": macs["report keys"],
    }
    assert {use: macs[use][: len(value)] for use, value in seen.items()} == seen
    assert vault.report_keys(text) == [urlsafe_b64encode(macs["report keys"][:16]).rstrip(b"=").decode()]
    bucket = hmac.digest(hkdf(OLD.secret, "throttle"), f"address\n{text}".encode(), "sha256")
    assert vault.bucket("address", text) == bucket[:16]
    kid, wrapped = vault.new_person(SUBJECT)
    assert kid == "v1"
    own = AESGCM(hkdf(OLD.secret, "wrapping")).decrypt(wrapped[:12], wrapped[12:], SUBJECT.encode())
    assert len(own) == 32
    assert strangers_open(own, seal(vault.person(SUBJECT, kid, wrapped), b"hers", "about"), "about") == b"hers"
    for one, other in combinations([*seen.values(), vault.bucket("", text), vault.bucket("address", text)], 2):
        assert one[:16] != other[:16]


def test_a_limit_counts_each_kind_apart() -> None:
    """CAP-10: an address and a network of the same spelling share no bucket, nor do two roots."""
    assert Vault([OLD]).bucket("address", "x") != Vault([OLD]).bucket("network", "x")
    assert Vault([OLD]).bucket("address", "x") != Vault([NEW]).bucket("address", "x")
    assert Vault([OLD]).bucket("address", "x") == Vault([OLD]).bucket("address", "x")


# -- a person's own key ------------------------------------------------------------------------------------------


def test_each_person_has_a_key_of_her_own() -> None:
    """SUP-04: what is sealed for An opens with her key only, also when both were made in one moment."""
    vault = Vault([OLD])
    an, dirk = (vault.person(name, *vault.new_person(name)) for name in ("an", "dirk"))
    sealed = seal(an, b"An's", "about")
    assert unseal(an, sealed, "about") == b"An's"
    with pytest.raises(Sealed):
        unseal(dirk, sealed, "about")


def test_a_wrapped_key_belongs_to_one_person_and_one_root() -> None:
    """SUP-04, KEY-02: swapped rows, other roots and flipped bytes do not open."""
    vault = Vault([OLD])
    kid, wrapped = vault.new_person("an")
    for subject, roots, blob in (
        ("dirk", [OLD], wrapped),
        ("an", [Key("v1", NEW.secret)], wrapped),
        ("an", [OLD], bytes([wrapped[0] ^ 1]) + wrapped[1:]),
        ("an", [OLD], wrapped[:-1]),
        ("an", [OLD], b""),
    ):
        with pytest.raises(Sealed):
            Vault(roots).person(subject, kid, blob)


def test_a_root_that_was_dropped_too_early_is_named() -> None:
    """KEY-03: the row's key id and the setting to mend are said, and no secret."""
    kid, wrapped = Vault([OLD]).new_person("an")
    with pytest.raises(Sealed, match=r"'v1'.*BRIDGE_VAULT_KEYS"):
        Vault([NEW]).person("an", kid, wrapped)
    old_rows = Vault([NEW, OLD]).person("an", kid, wrapped)
    assert unseal(old_rows, seal(Vault([OLD]).person("an", kid, wrapped), b"x", "y"), "y") == b"x"


def test_sealed_bytes_open_only_whole_and_where_they_belong() -> None:
    """CAP-06: every flipped bit of every byte, every cut, and another place in the story are noticed."""
    key = AESGCM(bytes(32))
    sealed = seal(key, b"her words", about_event(SUBJECT, 3))
    assert unseal(key, sealed, f"{SUBJECT}/3") == b"her words"
    for about in (f"{SUBJECT}/2", f"{SUBJECT}/33", f"{SUBJECT}", "", "other/3"):
        with pytest.raises(Sealed):
            unseal(key, sealed, about)
    for place in range(len(sealed)):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[place] ^= 1 << bit
            with pytest.raises(Sealed):
                unseal(key, bytes(changed), f"{SUBJECT}/3")
        with pytest.raises(Sealed):
            unseal(key, sealed[:place], f"{SUBJECT}/3")
    with pytest.raises(Sealed):
        unseal(key, sealed + b"\x00", f"{SUBJECT}/3")


def test_the_same_words_are_never_sealed_alike() -> None:
    """CAP-06: equal stories of two people cannot be told from their rows; a nonce is used once."""
    key = AESGCM(bytes(32))
    assert len({seal(key, b"same", "about")[:12] for _ in range(1000)}) == 1000


# -- format 1 ----------------------------------------------------------------------------------------------------

#: Sealed once, under the key 00 01 … 1f, for number 2 of this subject: must open for ever.
GOLDEN_KEY = bytes(range(32))
GOLDEN = bytes.fromhex(
    "6ead72f0e180ed90db57cf5b9e9aafd244c778ee424fed233f60d3a9d98c1d853661cb7082a9f72e51532373c996d8b1"
    "ac7b13170c9faa633850f9712075e368d5a18024648f56efaeec97549e5c03a7abf5315fcfb72af35a345d0d06d8990c"
    "567ec1695c8adc17b0eb07d2e1e2fa5c719933d816836d9a4bf8b52cbb461b12454f06ba98a4cb45b3a13ea0d2b6781a"
    "77fa5751be1f2bb20095d407da3503a52992c1"
)
GOLDEN_STORY: list[Any] = [
    1,
    "h2m-9_WqT5uRe8LpN3sVbw",
    "given",
    "newsletter",
    1795428297123456,
    1795428297123456,
    1795428100000000,
    None,
    "reader",
    "confirm_page",
    "footer",
    7,
    {
        "box": "ticked",
        "language": "nl",
        "request": "Qk3vé",
        "template": "0123456789abcdef",
        "wording": "5f1c0e7d6b0f2f6a4f3f6d4b8f6f2d1a0c9e8b7a6d5c4b3a291807f6e5d4c3b2",
    },
]
GOLDEN_STORY_2: list[Any] = [
    2,
    None,
    *GOLDEN_STORY[2:12],
    {**GOLDEN_STORY[12], "wording": "XxwOfWsPL2pPP21Lj28tGgyei3ptXEs6KRgH9uXUw7I"},
]

#: The same event in format 2, sealed once with `GOLDEN_KEY` and kept.
GOLDEN_2 = bytes.fromhex(
    "c8c9cacbcccdcecfd0d1d2d39a4ee301030106a692aab9985810ad82069761900167a5846d097cc0c4a38c2c8f0df360"
    "f7987d0848f4878078c98d48f74654b3ab03072131104ea593a68e0e74d7d50b8a01eff5a2c9da18caa942d94e922504"
    "b5a85c14ebab2efafbb57361d9c925db164ff9d39ba92ed6c7"
)

#: Part of the format, copied here so that a change of it there is noticed.
DICTIONARY = (
    b'"withdrawn","requested","given","newsletter",null,null,null,"reader","confirm_page","form","one_click",null,'
    b'"footer",1,{"box":"ticked","language":"nl","request":"","template":"","wording":"0123456789abcdef"}]'
)


def strangers_open(key: bytes, sealed: bytes, about: str) -> bytes:
    """Open sealed bytes with AES-GCM alone: nonce(12) and the rest."""
    return AESGCM(key).decrypt(sealed[:12], sealed[12:], about.encode("ascii"))


def strangers_bytes(key: bytes, sealed: bytes, subject: str, number: int) -> bytes:
    """Open an event with the docstring of `bridge.vault` in hand and none of its functions."""
    packed = strangers_open(key, sealed, f"{subject}/{number}")
    inflater = zlib.decompressobj(-10, zdict=DICTIONARY)
    data = inflater.decompress(packed) + inflater.flush()
    assert inflater.eof
    return data


def strangers_digest(previous: bytes, sealed: bytes) -> str:
    """The link of the chain, by the docstring alone."""
    return sha256(b"consent-bridge event 1\n" + previous + sealed).hexdigest()


def golden_event() -> ConsentEvent:
    """The event in the golden bytes."""
    given_at = datetime(2026, 11, 23, 10, 4, 57, 123456, tzinfo=UTC)
    return ConsentEvent(
        type=EventType.GIVEN,
        subject=SUBJECT,
        time=given_at,
        received=given_at,
        asked=datetime(2026, 11, 23, 10, 1, 40, tzinfo=UTC),
        source="reader",
        method=Method.CONFIRM_PAGE,
        key="h2m-9_WqT5uRe8LpN3sVbw",
        purpose="newsletter",
        channel="footer",
        notice=7,
        evidence=Evidence(
            wording="5f1c0e7d6b0f2f6a4f3f6d4b8f6f2d1a0c9e8b7a6d5c4b3a291807f6e5d4c3b2",
            language="nl",
            box="ticked",
            request="Qk3vé",
            template="0123456789abcdef",
        ),
    )


def test_a_stranger_can_open_format_1() -> None:
    """CAP-06, decision 14: the golden bytes open by AES-GCM, DEFLATE and JSON alone, and link as documented."""
    data = strangers_bytes(GOLDEN_KEY, GOLDEN, SUBJECT, 2)
    assert json.loads(data) == GOLDEN_STORY
    assert data == json.dumps(GOLDEN_STORY, separators=(",", ":"), ensure_ascii=False).encode()
    assert strangers_digest(bytes(32), GOLDEN) == "952bb2d4f7b3fef77854b3ca28260c5a46b1daf9f15f5ba9c55e49aaa07736dd"


def test_we_read_format_1_as_it_always_was() -> None:
    """CAP-06: the golden bytes give that event and that link, whatever the format of new events is."""
    opened = unpack(unseal(AESGCM(GOLDEN_KEY), GOLDEN, about_event(SUBJECT, 2)))
    assert from_canonical(SUBJECT, 2, opened) == golden_event()
    assert digest(FIRST, GOLDEN).hex() == strangers_digest(bytes(32), GOLDEN)
    following = digest(digest(FIRST, GOLDEN), b"next")
    assert following.hex() == strangers_digest(bytes.fromhex(strangers_digest(bytes(32), GOLDEN)), b"next")


def test_a_stranger_can_open_format_2() -> None:
    """CAP-06, decision 14: today's bytes open by AES-GCM, DEFLATE and JSON alone, and say what format 1 says."""
    data = strangers_bytes(GOLDEN_KEY, GOLDEN_2, SUBJECT, 2)
    assert json.loads(data) == GOLDEN_STORY_2
    assert data == json.dumps(GOLDEN_STORY_2, separators=(",", ":"), ensure_ascii=False).encode()
    story = msgspec.structs.replace(golden_event(), key="2")
    assert from_canonical(SUBJECT, 2, data) == story
    assert canonical(golden_event()) == data
    told = msgspec.structs.replace(golden_event(), source="mailchimp", method=Method.WEBHOOK)
    assert json.loads(canonical(told))[1] == told.key, "of a machine's news the key is kept"


def test_words_that_are_no_hash_are_refused() -> None:
    """CAP-07: what an event rests on is a SHA-256 in one spelling, or nothing."""
    for wording in ("x", "", "AB" * 32, "ab" * 31, "zz" * 32):
        with pytest.raises(ValueError, match=r"hexadecimal|no SHA-256"):
            canonical(msgspec.structs.replace(golden_event(), evidence=Evidence(wording=wording)))


def test_a_digest_depends_on_what_came_before() -> None:
    """CAP-06: the same sealed bytes after another event are another link."""
    assert digest(FIRST, GOLDEN) != digest(digest(FIRST, GOLDEN), GOLDEN)
    assert bytes(32) == FIRST


_short = st.text(max_size=12)
_moments = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  (Hypothesis wants naive bounds)
_evidence = st.builds(
    Evidence,
    **{name: st.none() | _short for name in Evidence.__struct_fields__ if name not in ("sale", "wording", "after")},
    after=st.none() | st.integers(0, 2**40),
    wording=st.none() | st.binary(min_size=32, max_size=32).map(bytes.hex),
    sale=st.none() | st.dictionaries(_short, _short, max_size=4),
)
_events = st.builds(
    ConsentEvent,
    type=st.sampled_from(EventType),
    subject=st.just(SUBJECT),
    time=_moments,
    received=_moments,
    source=_short,
    method=st.sampled_from(Method),
    key=_short,
    purpose=_short,
    asked=st.none() | _moments,
    until=st.none() | _moments,
    channel=st.none() | _short,
    notice=st.none() | st.integers(0, 2**53),
    evidence=_evidence,
)


@given(_events, st.integers(1, 10**6))
@settings(max_examples=250, deadline=None)
def test_every_event_comes_back_as_it_was(event: ConsentEvent, number: int) -> None:
    """CAP-06: to the microsecond, whatever happened; a stranger reads the same; the bytes have one spelling."""
    key = AESGCM(GOLDEN_KEY)
    data = canonical(event)
    sealed = seal(key, pack(data), about_event(SUBJECT, number))
    back = from_canonical(SUBJECT, number, unpack(unseal(key, sealed, about_event(SUBJECT, number))))
    assert back == (event if event.method in REPORTED else msgspec.structs.replace(event, key=str(number)))
    assert strangers_bytes(GOLDEN_KEY, sealed, SUBJECT, number) == data
    seen = json.loads(data)
    assert data == json.dumps(_sorted(seen), separators=(",", ":"), ensure_ascii=False).encode()
    assert None not in seen[12].values()
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert epoch + timedelta(microseconds=seen[4]) == event.time
    assert SUBJECT.encode() not in data or SUBJECT in repr(event.evidence)


def _sorted(story: list[Any]) -> list[Any]:
    """Objects with sorted keys."""
    evidence = {name: story[12][name] for name in sorted(story[12])}
    if "sale" in evidence:
        evidence["sale"] = {name: evidence["sale"][name] for name in sorted(evidence["sale"])}
    return [*story[:12], evidence]


@given(st.binary(max_size=5000))
@settings(max_examples=100, deadline=None)
def test_any_bytes_survive_packing(data: bytes) -> None:
    """CAP-06: also longer ones than the window."""
    assert unpack(pack(data)) == data


def test_an_ordinary_event_takes_little_room() -> None:
    """Decision 38: two such events must fit into the 900 bytes of a person."""
    assert len(GOLDEN_2) <= 150


# -- key lists ---------------------------------------------------------------------------------------------------


def test_a_key_list_is_read_newest_first() -> None:
    """KEY-02, interface.md section 3: `kid:base64url`, commas, spaces around them."""
    keys = parse_keys("BRIDGE_VAULT_KEYS", f" {new_key('b')} ,\n{new_key('a')},")
    assert [key.kid for key in keys] == ["b", "a"]
    assert all(len(key.secret) == 32 for key in keys)
    assert keys[0].secret != keys[1].secret


GOOD_SECRET = urlsafe_b64encode(bytes(range(100, 132))).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " , ",
        GOOD_SECRET,
        f":{GOOD_SECRET}",
        "v1:",
        f"v1:{urlsafe_b64encode(bytes(range(100, 131))).decode()}",  # 31 bytes
        f"v1:{GOOD_SECRET[:-2]}",  # cut while copying
        f"v1:{GOOD_SECRET[:20]}",
        f"v 1:{GOOD_SECRET}",
        f"{'v' * 17}:{GOOD_SECRET}",
        f"v1;{GOOD_SECRET}",
        f"v1:{GOOD_SECRET[:-1]}é",
        f"v1:{GOOD_SECRET[:10]}!{GOOD_SECRET[11:]}",
        f"v1:{GOOD_SECRET},v1:{GOOD_SECRET}",  # twice the same id
        f"v1:{GOOD_SECRET},v2",
        f"v1:{GOOD_SECRET},v2:{GOOD_SECRET[:30]}",
        f"v1:{GOOD_SECRET}:{GOOD_SECRET[:8]}!",
        f"v1:{GOOD_SECRET} v2:{GOOD_SECRET}",  # a space for a comma must not make one long key of two
    ],
)
def test_a_wrong_key_list_names_the_setting_and_the_fix_and_never_the_key(text: str) -> None:
    """KEY-01, MIN-03, interface.md section 3: one line an operator can act on; no part of a secret in it."""
    with pytest.raises(ValueError) as refused:
        parse_keys("BRIDGE_LINK_KEYS", text)
    said = str(refused.value)
    assert said.startswith("BRIDGE_LINK_KEYS")
    assert "consent-bridge keys new" in said
    assert "\n" not in said
    assert not any(GOOD_SECRET[place : place + 8] in said for place in range(len(GOOD_SECRET) - 7))
    assert refused.value.__cause__ is None


def test_the_wrong_key_of_a_list_is_counted_out() -> None:
    """KEY-02: with three keys the operator must know which one."""
    with pytest.raises(ValueError, match="key 3 "):
        parse_keys("BRIDGE_LINK_KEYS", f"{new_key('a')},{new_key('b')},c:short")


def test_an_id_that_people_type_is_no_option() -> None:
    """`approve ID`: one in 64 would begin with a dash, and the command would ask what that option means."""
    assert not [id_ for id_ in (new_typed_id() for _ in range(2000)) if id_.startswith("-")]


def test_new_ids_and_keys_are_random_and_long_enough() -> None:
    """KEY-01, ASVS 11.5.1: 128 bits for an id, 256 for a key, never twice."""
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {len(name) for name in ids} == {22}
    assert new_key("a") != new_key("a")


def test_many_addresses_are_hashed_as_one_is() -> None:
    """The fast way for a million of them is the same HMAC (RFC 2104)."""
    vault = Vault(parse_keys("BRIDGE_VAULT_KEYS", f"{new_key('b')},{new_key('a')}"))
    emails = [
        "an@lezer.example",
        " AN@Lezer.example",
        "élodie@fass.example",
        "bram@faß.example",
        "x" * 200 + "@y.example",
    ]
    assert vault.newest_lookups(emails) == [vault.lookups(email)[0].value for email in emails]


@given(key=st.binary(min_size=1, max_size=64), data=st.binary(max_size=200))
def test_keyed_hashes_are_hmac_sha256(key: bytes, data: bytes) -> None:
    """SUP-02, RFC 2104: the standard library's own values, at a quarter of their time."""
    assert mac(key)(data) == hmac.digest(key, data, "sha256")


def test_a_key_of_more_than_a_block_is_refused() -> None:
    """RFC 2104 hashes such a key first; ours are half a block long, and nobody needs two rules."""
    with pytest.raises(ValueError, match="longer than a block"):
        mac(bytes(65))
