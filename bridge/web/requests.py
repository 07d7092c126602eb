"""Where a reader says whether a request by letter or phone was hers (RGT-08). A GET changes nothing."""

from flask import Blueprint, Response, abort

from bridge import identity
from bridge.store.case_files import STOPPING, Case, Proof, Told
from bridge.vocabulary import masked_email
from bridge.web import forms
from bridge.web.app import bridge, language, page

bp = Blueprint("requests", __name__)


@bp.get("/requests/<token>")
def ask_whose(token: str) -> Response:
    """What was asked, and two buttons."""
    case, told = identity.asked(bridge(), token)
    return _page(token, case, told, said=None)


@bp.post("/requests/<token>")
def say_whose(token: str) -> Response:
    """She pressed one of them; what she said first stays."""
    if forms.one("mine") not in ("yes", "no"):
        abort(400)
    case, told = identity.asked(bridge(), token)
    return _page(token, case, told, said=identity.say(bridge(), token, hers=forms.one("mine") == "yes"))


def _page(token: str, case: Case, told: Told | None, *, said: Proof | None) -> Response:
    spoken = language(told.language if told else None)
    known = said or (case.how if case.how is not Proof.OWN_MAILBOX else None)
    return page(
        "request",
        lang=spoken,
        action=f"/requests/{token}",
        said={Proof.LINK: "hers", Proof.DENIED: "denied", Proof.OWN_MAILBOX: "hers", None: None}[known],
        closed=case.closed is not None or told is None,
        stopped=case.kind in STOPPING and told is not None,
        link_url="/preferences",
        due=case.due,
        received=case.received,
        masked=masked_email(told.email) if told else "",
        asked=bridge().texts.gettext(spoken, identity.ASKED[case.kind]),
    )
