"""What the ESPs' stand-in says when everybody is read: pages of members and files of contacts, made on demand."""

import gzip
from typing import TYPE_CHECKING

import msgspec

from bench.house import address

if TYPE_CHECKING:
    from bench.standin import StandIn

#: People in one file of an export.
_FILE = 100_000

_HEAD = (
    "EMAIL,FIRST_NAME,LAST_NAME,ADDRESS_LINE_1,ADDRESS_LINE_2,CITY,STATE_PROVINCE_REGION,POSTAL_CODE,COUNTRY,"
    "ALTERNATE_EMAILS,PHONE_NUMBER,WHATSAPP,LINE,FACEBOOK,UNIQUE_NAME,CONTACT_ID,CREATED_AT,UPDATED_AT,prefs"
)
_REST = (
    ",,,,,,,,,,,,,,,0b6e2d0e-7d1f-4b6e-8f5e-1f0a2b3c4d5e,2026-11-23T10:00:00Z,2026-11-23T10:00:00Z,https://p.example/x"
)


def answer(esp: "StandIn", path: str, asked: dict[str, str]) -> tuple[int, bytes] | None:
    """One call that reads many people; None for any other."""
    if path.startswith("/3.0/lists/") and path.endswith("/members"):
        return 200, _members(esp.held if asked.get("status") != "archived" else 0, asked)
    if path.startswith("/3.0/lists/") and path.endswith("/abuse-reports"):
        return 200, b'{"abuse_reports":[],"total_items":0}'
    if path.startswith("/v3/marketing/contacts/exports/"):
        held = esp.held if path.endswith("newsletter") else 0
        urls = [f"{esp.base}/files/{first}.csv.gz" for first in range(1, held + 1, _FILE)]
        return 200, msgspec.json.encode({"status": "ready", "urls": urls})
    if path.startswith("/files/"):
        first = int(path.split("/")[2].partition(".")[0])
        lines = [address(number) + _REST for number in range(first, min(first + _FILE, esp.held + 1))]
        return 200, gzip.compress("\r\n".join([_HEAD, *lines, ""]).encode(), 1)
    return None


def _members(held: int, asked: dict[str, str]) -> bytes:
    offset, count = int(asked["offset"]), int(asked["count"])
    people = [
        {
            "email_address": address(number),
            "status": "subscribed",
            "interests": {"newsletter": True, "offers": False},
            "last_changed": "2026-11-23T10:00:00+00:00",
        }
        for number in range(offset + 1, min(offset + count, held) + 1)
    ]
    return msgspec.json.encode({"members": people, "total_items": held})
