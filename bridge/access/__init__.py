"""What a reader gets who asks what there is of her: GDPR 15 and 20, in files for people and for programs.

The page, the command and the answer to a letter all give the same (RGT-01, RGT-02).
"""

import json

from bridge.access.collecting import Collected, collect
from bridge.access.data import as_data
from bridge.access.document import document
from bridge.access.table import as_csv
from bridge.bootstrap import Bridge
from bridge.store import UnknownSubject
from bridge.store.values import Person

__all__ = ["CSV", "HTML", "JSON", "Collected", "as_csv", "as_data", "collect", "document", "files", "written"]

JSON, CSV, HTML = "my-data.json", "my-data.csv", "my-data.html"


def files(bridge: Bridge, person: Person, language: str) -> dict[str, bytes]:
    """Everything of one person, by the name of the file: JSON, CSV (as `import` reads it), and a page.

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
    return {name: text.encode() for name, text in texts.items()}
