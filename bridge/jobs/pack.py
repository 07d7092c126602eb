"""The evidence pack: one person's history in one file that anybody can check with the public key and nothing of ours.

What it holds and how it is checked stands in `bridge/verifier.py`, which goes with it. Whoever holds a pack reads all
that is in it and can open, with the key in it, what older copies of this store hold of this one person. It cannot be
changed, and nothing can be added to it, without the seal key.
"""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

from bridge import receipts, verifier
from bridge.bootstrap import Bridge
from bridge.mailer import hash_of, template_files
from bridge.store.packing import Packed, read
from bridge.store.values import Person
from bridge.texts import TEMPLATES
from bridge.vault import from_canonical
from bridge.verifier import FORMAT, canonical
from bridge.vocabulary import ConsentEvent, MailKind, rfc3339

#: The file that checks a pack, as it is given away with one.
VERIFIER = Path(verifier.__file__)


def pack(bridge: Bridge, person: Person, language: str) -> bytes:
    """The pack of one person, as of now. There must be a seal key."""
    now = bridge.clock()
    packed = read(bridge.database, bridge.vault, bridge.seals, person, now)
    story = [from_canonical(person.id, one.number, one.canonical) for one in packed.events]
    words = {sha: bridge.store.words(sha) for sha in sorted(_shown(story))}
    lines = [
        _head(bridge, person, packed, missing=[sha for sha, found in words.items() if found is None]),
        *_events(packed),
        *(
            {
                "part": "wording",
                "sha256": sha,
                "purpose": found.purpose,
                "version": found.version,
                "language": found.language,
                "label": found.label,
                "text": found.text,
            }
            for sha, found in words.items()
            if found is not None
        ),
        *_mails(bridge, story),
        *(
            {"part": "receipt", "receipt": one}
            for one in receipts.of(bridge.issuer, person.id, story, language=language, now=now)
        ),
        *({"part": "checkpoint", "checkpoint": one} for one in packed.checkpoints),
    ]
    data = b"".join(canonical(line) + b"\n" for line in lines)
    seal = {"part": "seal", "sha256": sha256(data).hexdigest(), "key": bridge.seals.newest}
    return data + canonical({**seal, "signature": bridge.seals.sign(FORMAT, seal)}) + b"\n"


def _head(bridge: Bridge, person: Person, packed: Packed, missing: Sequence[str]) -> dict[str, Any]:
    controller = bridge.policy.controller
    return {
        "part": "head",
        "format": FORMAT,
        "made": rfc3339(bridge.clock()),
        "controller": {"name": controller.name, "address": controller.address, "email": controller.email},
        "subject": person.id,
        "address": person.email,
        "key": b64encode(packed.key).decode(),
        "events": len(packed.events),
        "words_missing": list(missing),
        "seal_keys": list(bridge.seals.kids),
    }


def _events(packed: Packed) -> Iterator[dict[str, Any]]:
    for one in packed.events:
        yield {
            "part": "event",
            "number": one.number,
            "event": one.canonical.decode(),
            "sealed": b64encode(one.sealed).decode(),
            "digest": one.digest.hex(),
            "checkpoint": one.place.checkpoint,
            "index": one.place.leaf,
            "path": [each.hex() for each in one.place.path],
        }


def _shown(story: Sequence[ConsentEvent]) -> set[str]:
    return {event.evidence.wording for event in story if event.evidence.wording}


def _mails(bridge: Bridge, story: Sequence[ConsentEvent]) -> Iterator[dict[str, Any]]:
    """The templates of the mails that her events name, with the operator's own words in them, where they still are what
    they were."""
    named = {event.evidence.template for event in story if event.evidence.template}
    for kind, own in product(MailKind, (None, *bridge.texts.own.values())):
        files = template_files(kind, own) if (TEMPLATES / "email" / kind).is_dir() else []
        if (found := hash_of(files)) in named:
            texts = [[name, content.decode()] for name, content in files]
            named.remove(found)
            yield {"part": "mail", "kind": kind.value, "template": found, "files": texts}
