"""Check an evidence pack, a receipt or a list of checkpoints of Consent Bridge, with nothing but the public key.

This file needs Python 3.11 or newer and the package `cryptography`, and nothing else of that program:
    python verify_pack.py PACK --key PUBLIC.pem
PUBLIC.pem comes from whoever keeps the records, by another road than the pack; the pack holds no key of theirs.

A pack is lines of canonical JSON (RFC 8785: sorted keys, no white space): the head; one line for each event of the
person, in order; the words she saw; the mails' templates; receipts; the signed checkpoints that cover her events; and
the seal, an Ed25519 signature over all lines before it. What is checked of each event:
  1. `sealed` opens with the person's key (AES-256-GCM, associated data `subject/number`) to `event` and nothing else,
  2. `digest` = SHA-256(tag, digest of the event before it, `sealed`),
  3. `digest` is a leaf of a Merkle tree (RFC 9162: 0x00 leaf, 0x01 node) whose root a signed checkpoint names.
"""

import json
import re
import sys
import zlib
from base64 import b64decode, b64encode, urlsafe_b64decode
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

FORMAT = "consent-bridge pack 1"
CHECKPOINT = "consent-bridge checkpoint 1"
RECEIPT = "consent-bridge receipt 1"
PROOF = "cb:proof"
EVENT_TAG = b"consent-bridge event 1\n"
FIRST = bytes(32)
#: The preset dictionary of the events' DEFLATE stream.
DICTIONARY = (
    b'"withdrawn","requested","given","newsletter",null,null,null,"reader","confirm_page","form","one_click",null,'
    b'"footer",1,{"box":"ticked","language":"nl","request":"","template":"","wording":"0123456789abcdef"}]'
)
#: Parts that stand between the events and the seal.
_LOOSE = ("wording", "mail", "receipt", "checkpoint")
_MOST = 1 << 20  # no event of ours is larger


class Bad(ValueError):
    """Something is not as it was signed; the text says what."""


class Problem(NamedTuple):
    """One thing that is wrong. `where` names the event, or the other part of the file."""

    where: str
    what: str


class Verdict(NamedTuple):
    """What a file is, what it says of itself, and everything that is wrong with it."""

    kind: str
    facts: dict[str, Any]
    problems: tuple[Problem, ...]


# -- bytes and signatures ---------------------------------------------------------------------------------------


def strict(text: bytes) -> Any:
    """JSON without double keys, fractions, half characters or anything behind it; raises `Bad`."""
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=_once, parse_float=_no, parse_constant=_no)
        canonical(value)
    except (ValueError, RecursionError) as error:
        raise Bad(str(error) if isinstance(error, Bad) else "is no clean JSON") from None
    return value


def canonical(value: Any) -> bytes:
    """The one way to write it: RFC 8785, for texts, whole numbers, lists and objects with ASCII keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def signed_bytes(kind: str, value: Any) -> bytes:
    """What a signature is over: what kind of thing it is, and its canonical bytes."""
    return kind.encode() + b"\n" + canonical(value)


def checkpoint_hash(statement: dict[str, Any]) -> str:
    """What the next checkpoint calls this one: SHA-256 of what was signed."""
    told = {name: value for name, value in statement.items() if name != "signature"}
    return sha256(signed_bytes(CHECKPOINT, told)).hexdigest()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise Bad("names something twice")
    return dict(pairs)


def _no(_text: str) -> Any:
    raise Bad("holds a number that is not whole")


def _bytes(text: Any, size: int | None = None) -> bytes:
    """Bytes from base64, written the one way it can be."""
    try:
        value = b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        value = b""
    if not isinstance(text, str) or b64encode(value).decode() != text or size not in (None, len(value)):
        raise Bad("is not written as it was signed")
    return value


def _hex(text: Any) -> bytes:
    if not isinstance(text, str) or not re.fullmatch(r"[0-9a-f]{64}", text):
        raise Bad("holds no SHA-256 where one belongs")
    return bytes.fromhex(text)


class Keys:
    """The public keys that a signature may be of."""

    def __init__(self, keys: Sequence[Any]) -> None:
        self._keys = list(keys)

    @classmethod
    def from_pem(cls, data: bytes) -> "Keys":
        """Every Ed25519 key of a PEM file; raises `Bad` where there is none."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        found = []
        for part in re.findall(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----\n?", data, re.DOTALL):
            try:
                key = load_pem_public_key(part)
            except ValueError:
                raise Bad("the key file holds a key that cannot be read") from None
            if isinstance(key, Ed25519PublicKey):
                found.append(key)
        if not found:
            raise Bad("the key file holds no Ed25519 public key")
        return cls(found)

    def check(self, signature: Any, data: bytes) -> None:
        """Raise `Bad` unless one of these keys signed this."""
        from cryptography.exceptions import InvalidSignature

        value = _bytes(signature, 64)
        for key in self._keys:
            try:
                key.verify(value, data)
            except InvalidSignature:
                continue
            return
        raise Bad("is not signed by a key you gave")


# -- events and trees -------------------------------------------------------------------------------------------


def event_digest(previous: bytes, sealed: bytes) -> bytes:
    """An event's digest: over the one before it of the same person, and the sealed bytes."""
    return sha256(EVENT_TAG + previous + sealed).digest()


def open_event(key: bytes, subject: str, number: int, sealed: bytes) -> bytes:
    """The canonical bytes of an event, opened with the person's key; raises `Bad`."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        packed = AESGCM(key).decrypt(sealed[:12], sealed[12:], f"{subject}/{number}".encode())
        opener = zlib.decompressobj(-10, DICTIONARY)
        told = opener.decompress(packed, _MOST)
    except (InvalidTag, ValueError, zlib.error):
        raise Bad("does not open: it was changed, or the key or the number is another") from None
    if not opener.eof or opener.unused_data or opener.unconsumed_tail:
        raise Bad("is not whole inside")
    return told


def leaf_hash(digest: bytes) -> bytes:
    """A leaf of the tree."""
    return sha256(b"\x00" + digest).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """What stands above two."""
    return sha256(b"\x01" + left + right).digest()


def root_of(digest: bytes, index: int, count: int, path: Sequence[bytes]) -> bytes:
    """The root of the tree in which this is the leaf at `index` of `count` (RFC 9162, 2.1.3.2); raises `Bad`."""
    at, last, found = index, count - 1, leaf_hash(digest)
    if not 0 <= index < count:
        raise Bad("has no place in its tree")
    for beside in path:
        if last == 0:
            raise Bad("has a path that is too long")
        if at & 1 or at == last:
            found = node_hash(beside, found)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, beside)
        at, last = at >> 1, last >> 1
    if last:
        raise Bad("has a path that is too short")
    return found


# -- receipts and checkpoints -----------------------------------------------------------------------------------


def receipt_bytes(receipt: dict[str, Any]) -> bytes:
    """What the signature of a receipt is over: all of it but the signature."""
    proof = {name: value for name, value in receipt[PROOF].items() if name != "cb:signature"}
    return signed_bytes(RECEIPT, {**receipt, PROOF: proof})


def check_receipt(receipt: Any, keys: Keys) -> None:
    """Raise `Bad` unless this receipt is as it was signed."""
    proof = receipt.get(PROOF) if isinstance(receipt, dict) else None
    if not isinstance(proof, dict) or "cb:signature" not in proof:
        raise Bad("is no signed receipt")
    keys.check(proof["cb:signature"], receipt_bytes(receipt))


def check_checkpoint(statement: Any, keys: Keys) -> None:
    """Raise `Bad` unless this checkpoint is as it was signed."""
    if not isinstance(statement, dict) or statement.get("type") != CHECKPOINT or "signature" not in statement:
        raise Bad("is no signed checkpoint")
    told = {name: value for name, value in statement.items() if name != "signature"}
    keys.check(statement["signature"], signed_bytes(CHECKPOINT, told))


def check_chain(lines: Sequence[bytes], keys: Keys) -> Iterator[Problem]:
    """What is wrong with checkpoints that were kept elsewhere, line by line, in the order of their numbers.

    Whoever rewrites history and has the seal key, too, signs another one of a number that is here already.
    """
    seen: dict[int, str] = {}
    for place, line in enumerate(lines, start=1):
        try:
            statement = strict(line)
            check_checkpoint(statement, keys)
            number, mine = statement["number"], checkpoint_hash(statement)
            if seen.get(number) == mine:
                continue  # kept twice
            if number in seen:
                raise Bad(f"is another checkpoint {number}: history was rewritten, or restored from an older copy")
            first, seen[number] = not seen, mine
            if seen.get(number - 1, statement["previous"]) != statement["previous"]:
                raise Bad("does not follow the one before it")
            if not first and number > 1 and number - 1 not in seen:
                raise Bad(f"is checkpoint {number}, and {number - 1} is missing before it")
        except (Bad, KeyError, TypeError) as error:
            yield Problem(f"checkpoint in line {place}", _text(error))


# -- packs ------------------------------------------------------------------------------------------------------


class _Pack:
    """The lines of a pack while they are looked at."""

    def __init__(self, data: bytes, keys: Keys) -> None:
        self.keys, self.problems = keys, list[Problem]()
        self.raw = data.split(b"\n")
        if self.raw.pop() != b"":
            self.problems.append(Problem("the end", "is not where it was"))
        self.parts: list[dict[str, Any]] = []
        head: dict[str, Any] = {}
        for place, line in enumerate(self.raw):
            part = self._part(place, line, head)
            head = head or part
            self.parts.append(part)
        self.head = head
        self.checkpoints: dict[int, dict[str, Any]] = {}
        self.wordings: set[str] = set()
        self.events: dict[int, list[Any]] = {}

    def _part(self, place: int, line: bytes, head: dict[str, Any]) -> dict[str, Any]:
        try:
            part = strict(line)
            if not isinstance(part, dict) or canonical(part) != line:
                raise Bad("is not written as it was signed")
        except Bad as error:
            self.problems.append(Problem(self._name(place, {}, head), str(error)))
            return {}
        return part

    def _name(self, place: int, part: dict[str, Any], head: dict[str, Any]) -> str:
        many = head.get("events")
        if place == 0:
            return "the head"
        if isinstance(many, int) and place <= many:
            return f"event {place}"
        kind = part.get("part")
        return f"{kind} in line {place + 1}" if isinstance(kind, str) and kind.isalpha() else f"line {place + 1}"

    def name(self, place: int) -> str:
        """What a person calls the part in this place."""
        return self._name(place, self.parts[place], self.head)

    def look(self) -> None:
        """Everything, each part for itself, then what they say of each other, then the seal around all."""
        if self.head.get("format") != FORMAT:
            self.problems.append(Problem("the head", f"is not that of a {FORMAT}"))
            return
        self._places()
        for kind in _LOOSE:  # before the events, which name them
            for place, part in enumerate(self.parts):
                if part.get("part") == kind:
                    self._try(place, part, getattr(self, f"_{kind}"))
        previous = FIRST
        for place, part in enumerate(self.parts):
            if part.get("part") == "event":
                self._try(place, {**part, "place": place, "previous": previous}, self._event)
                try:
                    previous = _hex(part.get("digest"))
                except Bad:
                    previous = FIRST
        for place, part in enumerate(self.parts):
            if part.get("part") == "receipt":
                self._try(place, part, self._told)
        if self.parts:
            self._try(len(self.parts) - 1, self.parts[-1], self._seal)

    def _places(self) -> None:
        """Each part stands where it belongs."""
        many = self.head.get("events")
        kinds = [part.get("part") for part in self.parts]
        if not isinstance(many, int) or not 0 <= many < len(kinds) or kinds[-1] != "seal":
            self.problems.append(Problem("the pack", "has not the parts that its head names"))
            many = 0
        known = {"head": range(1), "event": range(1, many + 1), "seal": range(len(kinds) - 1, len(kinds))}
        for place, kind in enumerate(kinds):
            here = [name for name, places in known.items() if place in places]
            if kind not in (here or _LOOSE):
                self.problems.append(Problem(self.name(place), "is not the part that belongs here"))

    def _try(self, place: int, part: dict[str, Any], look: Any) -> None:
        try:
            look(part)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            self.problems.append(Problem(self.name(place), _text(error)))

    def _event(self, part: dict[str, Any]) -> None:
        number, sealed, digest = part["number"], _bytes(part["sealed"]), _hex(part["digest"])
        if number != part["place"]:
            raise Bad("stands in another place than its number says")
        if event_digest(part["previous"], sealed) != digest:
            raise Bad("the digest does not fit: this event, or the one before it, was changed")
        told = open_event(_bytes(self.head["key"], 32), self.head["subject"], number, sealed)
        if told != part["event"].encode():
            raise Bad("what is sealed is not what is shown")
        covered = self.checkpoints.get(part["checkpoint"])
        if covered is None:
            raise Bad("the checkpoint that covers it is missing or was changed")
        path = [_hex(each) for each in part["path"]]
        if root_of(digest, part["index"], covered["count"], path) != _hex(covered["root"]):
            raise Bad("is not in the history that its checkpoint signed")
        self.events[number] = strict(told)
        wording = self.events[number][12].get("wording")
        shown = {*self.wordings, *self.head.get("words_missing", ())}
        if wording and _wording_of(wording) not in shown:
            raise Bad("the words that were shown are missing or were changed")

    def _wording(self, part: dict[str, Any]) -> None:
        found = sha256(f"{part['label']}\n\n{part['text']}".encode()).hexdigest()
        if found != part["sha256"]:
            raise Bad("these are not the words that were shown")
        self.wordings.add(found)

    def _mail(self, part: dict[str, Any]) -> None:
        data = b"".join(text.encode() for _, text in part["files"])
        short = b64encode(sha256(data).digest()[:8], altchars=b"-_")[:11].decode()
        if short != part["template"]:
            raise Bad("this is not the text of the mail that was sent")

    def _receipt(self, part: dict[str, Any]) -> None:
        check_receipt(part["receipt"], self.keys)

    def _told(self, part: dict[str, Any]) -> None:
        """What a receipt says happened is what the event it names says."""
        record = part["receipt"]["dpv:hasRecordOfActivity"]
        if record["dpv:hasDataSubject"]["dct:identifier"] != self.head["subject"]:
            raise Bad("is about somebody else")
        for state in record["dpv:hasConsentStatus"]:
            event = self.events.get(int(state["cb:evidence"].rpartition("/")[2]))
            if event is not None and _moment(event[4]) != state["dpv:isIndicatedAtTime"]:
                raise Bad("names another time than the event does")

    def _checkpoint(self, part: dict[str, Any]) -> None:
        check_checkpoint(part["checkpoint"], self.keys)
        self.checkpoints[part["checkpoint"]["number"]] = part["checkpoint"]

    def _seal(self, part: dict[str, Any]) -> None:
        told = {name: value for name, value in part.items() if name != "signature"}
        lines = b"".join(line + b"\n" for line in self.raw[:-1])
        if told.get("sha256") != sha256(lines).hexdigest():
            raise Bad("something in this file was changed after it was signed")
        self.keys.check(part.get("signature"), signed_bytes(FORMAT, told))


def check_pack(data: bytes, keys: Keys) -> Verdict:
    """Look at a pack with the public keys alone."""
    pack = _Pack(data, keys)
    pack.look()
    head = pack.head
    facts = {
        "subject": head.get("subject"),
        "made": head.get("made"),
        "events": head.get("events"),
        "checkpoints": len(pack.checkpoints),
        "receipts": sum(part.get("part") == "receipt" for part in pack.parts),
    }
    return Verdict("pack", facts, tuple(pack.problems))


def check_file(data: bytes, keys: Keys) -> Verdict:
    """Look at a file of ours, whichever kind it is."""
    try:
        found = receipts_in(data)
        if found:
            return _receipt_file(found, keys)
    except Bad:
        pass
    lines = data.splitlines()
    if lines and CHECKPOINT.encode() in lines[0][: _MOST // 4] and b'"part"' not in lines[0]:
        return Verdict("checkpoints", {"checkpoints": len(lines)}, tuple(check_chain(lines, keys)))
    return check_pack(data, keys)


def receipts_in(data: bytes) -> list[dict[str, Any]]:
    """The receipts of a file that is one, or a list of some; none where it is something else. Raises `Bad`."""
    found = strict(data)
    found = found if isinstance(found, list) else [found]
    return found if all(isinstance(each, dict) and PROOF in each for each in found) else []


def _receipt_file(found: Sequence[dict[str, Any]], keys: Keys) -> Verdict:
    problems = []
    for place, receipt in enumerate(found, start=1):
        try:
            check_receipt(receipt, keys)
        except Bad as error:
            problems.append(Problem("the receipt" if len(found) == 1 else f"receipt {place}", str(error)))
    return Verdict("receipt", {"receipts": len(found)}, tuple(problems))


def _wording_of(text: str) -> str:
    return text if len(text) == 64 else urlsafe_b64decode(text + "=").hex()


def _moment(micros: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    return moment.replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, Bad) else "is not written as it was signed"


def main(arguments: Sequence[str] | None = None) -> int:
    """Check one file; 0 = as it was signed, 1 = something is wrong and named, 2 = wrong call."""
    import argparse

    parser = argparse.ArgumentParser(description="Check an evidence pack, a receipt or kept checkpoints.")
    parser.add_argument("pack", type=Path, help="the file")
    parser.add_argument("--key", type=Path, required=True, help="public keys as PEM, from whoever keeps the records")
    options = parser.parse_args(arguments)
    try:
        keys = Keys.from_pem(options.key.read_bytes())
        data = options.pack.read_bytes()
    except (OSError, Bad) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    verdict = check_file(data, keys)
    for line in told(verdict):
        sys.stdout.write(f"{line}\n")
    return 1 if verdict.problems else 0


def told(verdict: Verdict) -> list[str]:
    """A verdict in words. What the file says of itself cannot steer the terminal: it may be anybody's."""
    facts = ", ".join(f"{name} {_plain(value)}" for name, value in verdict.facts.items() if value is not None)
    lines = [f"{verdict.kind}: {facts}" if facts else verdict.kind]
    lines += [f"  {problem.where}: {problem.what}" for problem in verdict.problems]
    count = len(verdict.problems)
    return [*lines, f"{count} problem{'s' if count > 1 else ''}" if count else "everything is as it was signed"]


def _plain(value: Any) -> str:
    text = str(value)[:64]
    return "".join(char if char.isprintable() else "?" for char in text)


if __name__ == "__main__":
    sys.exit(main())
