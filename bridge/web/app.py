"""The web application: blueprints, headers on every answer, errors as pages or problem+json."""

import gzip
import logging
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, jsonify, make_response, request
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from bridge.acts import NotByThisLink
from bridge.bootstrap import Bridge
from bridge.links import BadLink, ExpiredLink
from bridge.logs import place
from bridge.settings import LOOPBACK, BadSetting
from bridge.store import OldSchema, StoreAway, StoreBroken, TooMany, UnknownSubject, revision
from bridge.texts import TEMPLATES, palette
from bridge.web.counts import Counts
from bridge.web.rules import Route
from bridge.web.watch import ROUTE, Watch

log = logging.getLogger("bridge.web")

_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
}

#: The same on the two pages that may run one small script of ours.
_WITH_SCRIPT = _HEADERS["Content-Security-Policy"] + "; script-src 'self'"

#: Largest form a reader can send; webhooks have their own limit.
_MOST_FORM_BYTES = 64 * 1024


class BridgeApp(Flask):
    """A Flask application that knows its bridge."""

    bridge: Bridge
    url_rule_class = Route
    counts: Counts


def app_of() -> BridgeApp:
    """The application that answers now."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    assert isinstance(app, BridgeApp)  # noqa: S101 - only create_app makes applications
    return app


def bridge() -> Bridge:
    """The bridge of the application that answers now."""
    return app_of().bridge


def create_app(house: Bridge) -> BridgeApp:
    """The application around one bridge."""
    from bridge.web import (
        children,
        confirming,
        embedding,
        metrics,
        my_data,
        pages,
        papers,
        preferences,
        receipts,
        requests,
        webhooks,
    )
    from bridge.web.one_click import OneClick

    app = BridgeApp("bridge", static_folder=None, template_folder=None)
    app.bridge = house
    app.config["MAX_CONTENT_LENGTH"] = _MOST_FORM_BYTES
    app.config["MAX_FORM_PARTS"] = 200
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # only listed methods (WEB-06)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False  # no address answers with a redirect (WDR-06)
    app.register_blueprint(pages.bp)
    app.register_blueprint(confirming.bp)
    app.register_blueprint(embedding.bp)
    app.register_blueprint(preferences.bp)
    app.register_blueprint(children.bp)
    app.register_blueprint(my_data.bp)
    app.register_blueprint(papers.bp)
    app.register_blueprint(requests.bp)
    app.register_blueprint(receipts.bp)
    app.register_blueprint(webhooks.bp)
    app.register_blueprint(metrics.bp)
    headers = _headers_of(house)
    app.after_request(headers)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(StoreAway, _store_away)
    app.register_error_handler(StoreBroken, _store_broken)
    app.register_error_handler(TooMany, _too_many)
    app.register_error_handler(BadLink, _bad_link)
    app.register_error_handler(UnknownSubject, _bad_link)  # she was forgotten while she pressed
    app.register_error_handler(Exception, _bug)
    _house_keeping(app, house)
    if house.settings.trusted_proxies:
        hops = house.settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=0)  # type: ignore[method-assign]
    app.wsgi_app = OneClick(app.wsgi_app, house, headers)  # type: ignore[method-assign]
    app.after_request(_name)
    app.counts = Counts(
        [f"{method} {rule.rule}" for rule in app.url_map.iter_rules() for method in sorted(rule.methods or ())]
    )
    app.wsgi_app = Watch(app.wsgi_app, app.counts)  # type: ignore[method-assign]
    return app


def _name(response: Response) -> Response:
    if request.url_rule is not None:
        request.environ[ROUTE] = request.url_rule.rule
    return response


def _house_keeping(app: BridgeApp, house: Bridge) -> None:
    @cache
    def style() -> tuple[bytes, bytes]:
        sheet = ((TEMPLATES / "static" / "style.css").read_text("utf-8") + palette(house.policy.looks.accent)).encode()
        return sheet, gzip.compress(sheet, mtime=0)  # nothing in it is secret or a reader's (BREACH)

    logo = house.settings.policy.parent / house.policy.looks.logo if house.policy.looks.logo else None

    @app.get("/style.css")
    def stylesheet() -> Response:
        small = request.accept_encodings.quality("gzip") > 0
        response = make_response(style()[small])
        response.mimetype = "text/css"
        if small:
            response.headers["Content-Encoding"] = "gzip"
        response.headers["Vary"] = "Accept-Encoding"
        response.headers["Cache-Control"] = "public, max-age=300"
        return response

    @app.get("/logo")
    def show_logo() -> Response:
        from flask import abort, send_file

        if logo is None or not logo.is_file():
            abort(404)
        return send_file(logo.resolve(), max_age=300)

    @app.get("/favicon.svg")
    @app.get("/favicon.ico")
    def favicon() -> Response:
        """The icon: also where browsers look by themselves for what names none, such as a sample as plain text."""
        from flask import send_file

        return send_file(TEMPLATES / "static" / "favicon.svg", max_age=86400)

    @app.get("/confirm.js")
    def confirm_script() -> Response:
        """What presses the button of a confirm page in the browser that sent the form."""
        return _script("confirm.js")

    @app.get("/sign-up.js")
    def sign_up_script() -> Response:
        """What counts a little before a form is sent, where the policy asks for it; on the operator's site too."""
        response = _script("sign-up.js")
        response.headers["Access-Control-Allow-Origin"] = "*"
        return response

    @app.get("/healthz")
    def healthz() -> Response:
        """The process is up."""
        return jsonify(status="ok")

    @app.get("/readyz")
    def readyz() -> Response:
        """The database is there, has the right schema, and names no key that this process does not have."""
        try:
            revision.check(house.database)
            house.check_keys()  # a rotation may have gone on without this process: then it must not be asked
        except (StoreAway, StoreBroken, OldSchema, BadSetting) as error:
            response = problem(503, "not ready", str(error))
            response.headers["Retry-After"] = "5"
            return response
        return jsonify(status="ready", waiting=house.store.waiting(house.adapters))


def _script(name: str) -> Response:
    from flask import send_file

    return send_file(TEMPLATES / "static" / name, mimetype="text/javascript", max_age=86400)


def wants_page() -> bool:
    """Whether a person looks at the answer. What a program posts without asking for a page gets problem+json."""
    best = request.accept_mimetypes.best_match(["text/html", "application/json", "application/problem+json"])
    if request.method in ("GET", "HEAD"):
        return best in (None, "text/html")
    return best == "text/html" and "text/html" in request.headers.get("Accept", "")


def language(*wanted: str | None) -> str:
    """The language of this answer: the reader's choice, then what is wanted, then Accept-Language (CAP-08)."""
    chosen = request.args.get("language") or request.args.get("lang")
    return bridge().texts.choose(chosen, *wanted, accept=request.headers.get("Accept-Language", ""))


def page(template: str, *, status: int = 200, lang: str | None = None, **context: Any) -> Response:
    """One page in the reader's language."""
    spoken = lang or language()
    text = bridge().texts.render(f"pages/{template}.html", spoken, status=status, **context)
    return page_of(text.encode(), spoken, status)


def with_script(response: Response) -> Response:
    """The page may run a script file of ours, and no other."""
    response.headers["Content-Security-Policy"] = _WITH_SCRIPT
    return response


def page_of(body: bytes, spoken: str, status: int = 200) -> Response:
    """A page that is written already."""
    response = make_response(body, status)
    response.headers["Content-Language"] = spoken
    response.headers["Vary"] = "Accept-Language"
    return response


def problem(status: int, title: str, detail: str = "") -> Response:
    """An error for programs (RFC 9457). Never names a person, a token or what is inside."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    response = jsonify({key: value for key, value in body.items() if value})
    response.status_code = status
    response.mimetype = "application/problem+json"
    return response


def sorry(status: int, title: str, message: str, todo: str, *, lang: str | None = None, **link: str) -> Response:
    """An error for people: what happened and what to do next, in their language; for programs the same as JSON."""
    if not wants_page():
        return problem(status, title, todo)
    link = {"link_url": link.get("link_url", ""), "link_text": link.get("link_text", "")}
    return page("error", status=status, lang=lang, title=title, message=message, todo=todo, **_or_none(link))


def _or_none(link: dict[str, str]) -> dict[str, Any]:
    return {name: value or None for name, value in link.items()}


def _headers_of(house: Bridge) -> Callable[[Response], Response]:
    """What gives every answer its headers; what an answer says itself stays."""
    here = urlsplit(house.settings.base_url).hostname in LOOPBACK  # plain HTTP
    always = [(name, value) for name, value in _HEADERS.items() if not (here and name == "Strict-Transport-Security")]

    def add(response: Response) -> Response:
        own = {name.lower() for name, _ in response.headers}
        response.headers.extend([header for header in always if header[0].lower() not in own])
        return response

    return add


def _http_error(error: HTTPException) -> Response:
    code, say = error.code or 500, _say()
    again = say("Please check the address, or open the link from the mail once more.")
    words = {
        404: (say("This page does not exist"), say("The address may have been cut off on its way to you."), again),
        405: (say("This address cannot do that"), say("It only takes other kinds of requests."), again),
        413: (say("That was too much"), say("The form you sent is larger than we accept."), say("Please send less.")),
    }
    wrong = say("Something in the request was not right.")
    bad = (say("We could not read that"), wrong, say("Please try it once more."))
    title, message, todo = words.get(code, bad)
    response = sorry(code, title, message, todo)
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    return response


def _bad_link(error: BadLink | UnknownSubject) -> Response:
    say = _say()
    new_link = {"link_url": bridge().links.url("/preferences"), "link_text": say("Ask for a new link")}
    if isinstance(error, ExpiredLink):
        title, message = say("This link is too old"), say("For your safety it worked only for a short time.")
        todo = say("Ask for a new one; it comes by mail.")
        return sorry(410, title, message, todo, **new_link)
    if isinstance(error, NotByThisLink):
        title = say("This needs a new link")
        message = say("A link from a mail, which may have been forwarded, can only stop, pause or lower.")
        return sorry(404, title, message, say("Ask for a new one; it comes by mail."), **new_link)
    title, message = say("This link does not work"), say("It may have been cut off on its way to you.")
    todo = say("Open it from the mail once more, or ask for a new one.")
    return sorry(404, title, message, todo, **new_link)


def _store_away(_error: StoreAway | StoreBroken) -> Response:
    say = _say()
    title = say("We cannot do that just now")
    message = say("Our records are out of reach for a moment. Nothing was changed.")
    response = sorry(503, title, message, say("Please try it again in a minute."))
    response.headers["Retry-After"] = "30"
    return response


def _store_broken(error: StoreBroken) -> Response:
    """To readers it is the same; somebody of ours must see to it."""
    _log(error)
    return _store_away(error)


def _too_many(error: TooMany) -> Response:
    say = _say()
    title, message = say("Too many requests"), say("Your network asked for this very often.")
    response = sorry(429, title, message, say("Please try it again later. Unsubscribing always works."))
    response.headers["Retry-After"] = str(error.wait)
    return response


def _log(error: Exception) -> None:
    # Only where it happened: an exception's own text may quote a value (MIN-03).
    log.error("%s %s: %s\n%s", request.method, request.url_rule or "-", type(error).__name__, place(error))


def _bug(error: Exception) -> Response:
    _log(error)
    say = _say()
    title, message = say("Something went wrong on our side"), say("Nothing was changed.")
    return sorry(500, title, message, say("Please try it again in a minute."))


def _say() -> Any:
    spoken = language()
    return lambda message: bridge().texts.gettext(spoken, message)
