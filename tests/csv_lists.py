"""Lists for tests: rows with a whole proof, of which each says only what differs; and a shop that sells."""

from pathlib import Path
from typing import Any

from bridge.jobs.lists.files import ListFile
from bridge.jobs.lists.lines import Defaults
from bridge.jobs.lists.taking import Import, Result
from tests.conftest import House

WHOLE = {
    "time": "2026-05-31 14:05:00",
    "notice": "1",
    "language": "nl",
    "method": "double_opt_in",
    "source_document": "crm-2026-05",
}
HEADER = ("email", "purpose", "status", *WHOLE)


class Lists:
    """Writes lists and takes them in."""

    def __init__(self, house: House, folder: Path) -> None:
        self.house, self.folder = house, folder

    def write(self, *rows: dict[str, str], name: str = "list.csv", header: tuple[str, ...] = HEADER) -> Path:
        """A CSV file; a row says only what differs from a whole proof."""
        lines = [header, *([{**WHOLE, **row}.get(column, "") for column in header] for row in rows)]
        path = self.folder / name
        path.write_text("".join(",".join(line) + "\n" for line in lines))
        return path

    def take(self, path: Path, *, dry_run: bool = False, **defaults: str) -> Result:
        """Take a file in."""
        given = Defaults(**{"channel": "footer", **defaults})
        job = Import(self.house.bridge, given, dry_run=dry_run, progress=lambda _done, _total: None)
        return job.file(ListFile(path))[0]

    def takes(self, *rows: dict[str, str], **options: Any) -> tuple[int, int, int, int]:
        """What became of these rows: imported, unchanged, suppressed, rejected."""
        found = self.take(self.write(*rows), **options)
        assert found.rows == len(rows)
        return found.imported, found.unchanged, found.suppressed, found.rejected


SALE = {
    "basis": "soft_opt_in",
    "time": "",
    "method": "",
    "source_document": "",
    "sale_id": "order-77",
    "sale_time": "2026-10-01",
    "sale_category": "books",
    "channel": "shop",
    "purpose": "offers",
}
SALE_HEADER = (*HEADER, "basis", "channel", "sale_id", "sale_time", "sale_category")


def sells(policy: Path) -> None:
    """A shop in a country that allows soft opt-in: its offers rest on it."""
    text = policy.read_text().replace('id = "offers"\nbasis = "consent"', 'id = "offers"\nbasis = "soft_opt_in"')
    policy.write_text(
        "soft_opt_in = true\n"
        + text
        + """
[[channels]]
id = "shop"
place.nl = "onze webwinkel"
place.en = "our shop"
purposes = ["offers"]
owner = "Carla, marketing"
next_review = 2035-06-30
[channels.sale]
collected = "asked for at the till of the web shop, with a box to refuse beside it"
categories = ["books", "trips"]
"""
    )
