"""What a reader gets who asks what there is of her: GDPR 15 and 20, in files for people and for programs.

The page, the command and the answer to a letter all give the same (RGT-01, RGT-02): all that is kept, what she gave as
a table, and her consent receipts.
"""

import json
from typing import Any

from bridge import receipts
from bridge.access.collecting import Collected, collect
from bridge.access.data import as_data
from bridge.access.document import document
from bridge.access.table import as_csv
from bridge.bootstrap import Bridge
from bridge.store import UnknownSubject
from bridge.store.values import Person

__all__ = [
    "CSV",
    "HTML",
    "JSON",
    "NAMES",
    "RECEIPTS",
    "Collected",
    "as_csv",
    "as_data",
    "collect",
    "document",
    "files",
    "has_receipts",
    "written",
]

JSON, CSV, HTML, RECEIPTS = "my-data.json", "my-data.csv", "my-data.html", "my-data-receipts.json"

#: Every file there may be, by what its reader asks for.
NAMES = {"json": JSON, "csv": CSV, "html": HTML, "receipts": RECEIPTS}


def files(bridge: Bridge, person: Person, language: str) -> dict[str, bytes]:
    """Everything of one person, by the name of the file: JSON, CSV (as `import` reads it), a page, and her receipts
    where there are any.

    `language` is one of the policy's. Raises `UnknownSubject` when she was erased meanwhile, `Sealed` when what is kept
    of her cannot be opened.
    """
    found = collect(bridge, person.email)
    if found is None or found.person is None or found.person.id != person.id:
        raise UnknownSubject("this person is no longer here")
    return written(bridge, found, language)


def written(bridge: Bridge, found: Collected, language: str) -> dict[str, bytes]:
    """The same of what was collected; also of an address that only the stop list knows."""
    data = json.dumps(as_data(bridge, found, language), ensure_ascii=False, indent=2)
    page = bridge.texts.render("evidence.html", language, document=document(bridge, found, language))
    texts = {JSON: data + "\n", CSV: as_csv(bridge, found), HTML: page}
    if has_receipts(bridge, found):
        texts[RECEIPTS] = json.dumps(_receipts(bridge, found, language), ensure_ascii=False, indent=2) + "\n"
    return {name: text.encode() for name, text in texts.items()}


def has_receipts(bridge: Bridge, found: Collected) -> bool:
    """Whether she has a receipt, for a yes or the end of one: where a seal key is set and all of hers can be opened."""
    declared = bridge.policy.purposes
    whole = found.person is not None and found.found.sealed and bool(bridge.seals)
    return whole and any(act.purpose in declared for act in receipts.acts(found.found.story))


def _receipts(bridge: Bridge, found: Collected, language: str) -> list[dict[str, Any]]:
    """Signed, without her address; anybody can check them with the public key (RGT-02, CON-07)."""
    subject = found.person.id if found.person else ""
    return receipts.of(bridge.issuer, subject, found.found.story, language=language, now=found.found.made)
