"""Receipts: a reader downloads hers, and anybody can have one checked. Nothing of what is checked is kept (CON-07)."""

import json
from datetime import datetime
from typing import Any, NamedTuple

from flask import Blueprint, Response, abort, make_response, request

from bridge import receipts
from bridge.decide import STOPS, concerns, is_live, standing
from bridge.verifier import Bad, check_receipt, receipts_in
from bridge.vocabulary import ConsentEvent, Status
from bridge.web.app import bridge, language, page

bp = Blueprint("receipts", __name__)

#: Nobody has so many receipts in one file.
_MOST = 50


class Judged(NamedTuple):
    """One receipt that was shown to us: whether we signed it, what it is about, and how things are now."""

    ours: bool
    purpose: str = ""
    yes: bool = False  # it is for a yes, and not for the end of one
    time: datetime | None = None
    now: str = "unknown"  # stands, old, ended, again, gone
    since: datetime | None = None


@bp.get("/receipt")
def ask_receipt() -> Response:
    """Show where to put one in."""
    return page("receipt", action="/receipt", judged=None, error=None)


@bp.post("/receipt")
def show_receipt() -> Response:
    """Say whether we signed it, and whether it still stands."""
    spoken = language(request.form.get("language", "")[:8])
    try:
        found = receipts_in(request.form.get("receipt", "").strip().encode())
    except (Bad, UnicodeEncodeError):
        found = []
    if not found or len(found) > _MOST:
        error = bridge().texts.gettext(spoken, "This is no receipt of ours: put in the whole .json file, unchanged.")
        return page("receipt", status=400, lang=spoken, action="/receipt", judged=None, error=error)
    return page("receipt", lang=spoken, action="/receipt", judged=[_judge(one, spoken) for one in found], error=None)


@bp.get("/receipt/keys")
def show_keys() -> Response:
    """The public seal keys, for whoever checks a receipt or a pack without us."""
    if not bridge().seals:
        abort(404)
    response = make_response(bridge().seals.pem())
    response.mimetype = "application/x-pem-file"
    return response


@bp.get("/preferences/<token>/receipts")
def download(token: str) -> Response:
    """Her receipts as one file: without her address in them, but where she asks for it."""
    house = bridge()
    person, story = house.acts.story(token)
    address = person.email if request.args.get("form") == "long" else ""
    spoken = language(person.language)
    told = receipts.of(house.issuer, person.id, story, language=spoken, now=house.clock(), address=address)
    response = make_response(json.dumps(told, ensure_ascii=False, indent=2))
    response.mimetype = "application/ld+json"
    response.headers["Content-Disposition"] = 'attachment; filename="receipts.json"'
    return response


def _judge(receipt: dict[str, Any], spoken: str) -> Judged:
    house = bridge()
    try:
        check_receipt(receipt, house.seals.keys)
    except (Bad, ValueError, TypeError):
        return Judged(ours=False)
    try:
        subject, purpose, number = receipts.about(receipt)
        state = receipt["dpv:hasRecordOfActivity"]["dpv:hasConsentStatus"][-1]
        time = datetime.fromisoformat(state["dpv:isIndicatedAtTime"])
    except (KeyError, IndexError, ValueError, TypeError, AttributeError):
        return Judged(ours=True)  # of another form: the signature says all there is to say
    yes = state["@type"][0] in (receipts.TERMS[Status.GIVEN], receipts.RENEWED)
    declared = house.policy.purposes.get(purpose)
    name = declared.name[spoken] if declared else purpose
    found = house.store.look(subject, "")
    if found is None or declared is None:
        return Judged(ours=True, purpose=name, yes=yes, time=time, now="gone")
    now, limits = house.clock(), house.store.limits_now(house.clock())
    status, by = standing(found[1], purpose)
    given = status is Status.GIVEN
    if yes and given and is_live(found[1], purpose, now, limits):
        told = "again" if any(_ends(event, purpose, time) for event in found[1]) else "stands"
    elif yes:
        told = "old" if given else "ended"
    else:
        told = "again" if given and by and by.key != str(number) else "stands"
    return Judged(ours=True, purpose=name, yes=yes, time=time, now=told, since=by.time if by else None)


def _ends(event: ConsentEvent, purpose: str, given: datetime) -> bool:
    """Whether this ended the yes of that moment; within one second a stop wins."""
    return event.type in STOPS and concerns(event, purpose) and event.time.replace(microsecond=0) >= given
