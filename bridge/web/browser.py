"""By what the browser that sent a form is known again: one random cookie of its own, needed for nothing else.

It is set for every address alike, read by nobody else, and short-lived as the request. What is kept of it is a keyed
hash, beside the request.
"""

import re
import secrets
from urllib.parse import urlsplit

from flask import Response, request
from werkzeug.http import dump_cookie

from bridge.store.answering import Press
from bridge.web import forms
from bridge.web.app import bridge

#: The prefix makes browsers take it from this very host only, over HTTPS (or loopback).
COOKIE = "__Host-sign-up"
_SECRET = re.compile(r"[A-Za-z0-9_-]{22}")


def secret() -> str:
    """What this browser's cookie holds, or will: who sends a form again is known by both."""
    known = "" if from_strangers() else request.cookies.get(COOKIE, "")
    return known if _SECRET.fullmatch(known) else secrets.token_urlsafe(16)


def from_elsewhere() -> bool:
    """Whether the page that sent this form is not one of ours: the operator's own site, or anybody's.

    Our pages tell no referrer, so an old browser names no origin for them: that is taken for elsewhere too.
    """
    told, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if told is not None:
        return told not in ("same-origin", "none") or origin not in (None, "null", _origin())
    return origin not in (None, _origin())


def from_strangers() -> bool:
    """The same, and that page is of another domain altogether: nothing says that it is the operator's."""
    return from_elsewhere() and request.headers.get("Sec-Fetch-Site") != "same-site" and not from_own_site()


def from_own_site() -> bool:
    """Whether a page that the policy names as the operator's own sent this form, as a window's next page.

    Its browser says from which origin, to the letter; no page can choose what it says. Whatever says nothing of that,
    or contradicts it, is none: a frame, a script's own request, a page of ours.
    """
    told = request.headers
    return (
        told.get("Origin") in bridge().policy.sign_up.own_sites
        and told.get("Sec-Fetch-Site") in (None, "cross-site", "same-site")
        and told.get("Sec-Fetch-Mode") in (None, "navigate")
        and told.get("Sec-Fetch-Dest") in (None, "document")
    )


def _origin() -> str:
    parts = urlsplit(bridge().links.base_url)
    return f"{parts.scheme}://{parts.netloc}"


def remember(response: Response, value: str) -> Response:
    """Give the browser its cookie, for as long as a request can be confirmed.

    Not where a stranger's page sent the form: it could send anybody's address from her browser, and the page behind the
    mail's link would press the button for her. She presses it herself, or types the digits.
    """
    if from_strangers():
        return response
    life = bridge().policy.limits_.pending_ttl.time
    told = dump_cookie(COOKIE, value, life, path="/", secure=True, httponly=True, samesite="Lax", sync_expires=False)
    response.headers.add("Set-Cookie", told)
    return response


def place() -> str:
    """Where this request came from, if it is a browser that sent a form; empty for every other.

    A post that another site's page set off is none of its own.
    """
    if request.headers.get("Sec-Fetch-Site", "same-origin") in ("cross-site", "same-site") and request.method == "POST":
        return ""
    if "Sec-Purpose" in request.headers or "Purpose" in request.headers:  # fetched ahead: nobody looks at it yet
        return ""
    known = request.cookies.get(COOKIE, "")
    return bridge().links.place(known) if _SECRET.fullmatch(known) else ""


def press(*, by_cookie: bool = False) -> Press:
    """What came with a yes: the digits that were typed; where it counts, the cookie."""
    return bridge().acts.press(place() if by_cookie else "", forms.one("code").strip(), forms.network())
