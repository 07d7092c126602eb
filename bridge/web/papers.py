"""The papers anybody may read: on privacy, on who can use these pages, and the exact words once shown beside a box."""

import re
from datetime import UTC, datetime
from hashlib import sha256

from flask import Blueprint, Response, abort, request

from bridge.accessibility import CLAIMS, LIMITS, REVIEWED, STANDARDS
from bridge.statement import content, render
from bridge.store import StoreAway
from bridge.web.app import bridge, language, page, page_of

bp = Blueprint("papers", __name__)

#: Wordings are counted from 1; a number beyond this was never one, and is more than a database column holds.
_MOST_VERSIONS = 1_000_000
#: The column of statements holds no more.
_MOST_STATEMENTS = 32_767


@bp.get("/privacy")
def privacy() -> Response:
    """The newest statement that was published; before the first, the one that the policy gives today."""
    spoken = language()
    try:
        book = bridge().store.papers
        found = book.bytes_of(book.newest(), [spoken])
    except StoreAway:
        found = None  # what the policy says is as true
    if found is None:
        return page_of(_draft(spoken), spoken)
    return page_of(found[1], found[0])


@bp.get("/privacy/<version>")
def privacy_version(version: str) -> Response:
    """The very bytes of a published version, for ever; or the draft by its own name, while none is out (TRN-03)."""
    spoken = language()
    number = int(version) if re.fullmatch("[1-9][0-9]{0,4}", version) else 0
    book = bridge().store.papers
    wanted = [request.args.get("language", ""), spoken]  # also one that the policy has dropped since
    if 0 < number <= _MOST_STATEMENTS and (found := book.bytes_of(number, wanted)):
        return page_of(found[1], found[0])
    if version != _draft_name() or book.newest():
        abort(404)
    return page_of(_draft(spoken), spoken)


def _draft(spoken: str) -> bytes:
    """The statement that the policy gives today."""
    house = bridge()
    told = content(house.policy, house.texts, spoken)
    day = datetime.fromtimestamp(house.settings.policy.stat().st_mtime, UTC).astimezone(house.policy.zone).date()
    return render(house.texts, spoken, told, version=_draft_name(), day=day).encode()


def _draft_name() -> str:
    """A draft is named by what it is made of: the policy's own bytes."""
    return sha256(bridge().settings.policy.read_bytes()).hexdigest()[:12]


@bp.get("/accessibility")
def accessibility() -> Response:
    """Which standard the pages meet, what is tested, what is not perfect, and whom to tell (Directive 2019/882)."""
    return page("accessibility", standards=STANDARDS, claims=[*CLAIMS.values()], limits=LIMITS, reviewed=REVIEWED)


@bp.get("/notices/<purpose>/<int:version>/<spoken>")
def notice(purpose: str, version: int, spoken: str) -> Response:
    """The exact words once shown beside a box (CAP-07)."""
    house = bridge()
    if version > _MOST_VERSIONS or not purpose.isprintable() or not spoken.isprintable():
        abort(404)
    words = house.notices.get((purpose, version, spoken)) or house.store.shown(purpose, version, spoken)
    if words is None:
        abort(404)
    known = house.policy.purposes.get(purpose)
    tongue = spoken if spoken in house.policy.languages else language()
    return page(
        "notice",
        lang=tongue,
        purpose=known.name[tongue] if known else purpose,
        version=version,
        language=spoken,
        label=words.label,
        notice=words.text,
        sha256=words.sha256,
    )
