"""The page "my data": a reader sees, takes with her, corrects, restricts and erases what is kept (GDPR 15 to 21).

Only a freshly mailed link opens it. A GET changes nothing; each POST names its act, and the answer says what happens
next and when.
"""

from collections.abc import Callable, Mapping

from flask import Blueprint, Response, abort, make_response, request

from bridge.acts import Late
from bridge.links import BadLink, ExpiredLink
from bridge.my_data import Own
from bridge.policy import Field
from bridge.store import Moved, UnknownSubject
from bridge.vocabulary import masked_email
from bridge.web import browser, forms
from bridge.web.app import bridge, language, page
from bridge.web.parts import code_errors, refused

bp = Blueprint("my_data", __name__)

_TYPES = {"json": "application/json", "csv": "text/csv", "html": "text/html", "receipts": "application/ld+json"}

#: Sections that stand open: the rest of the page is long.
_OPEN = 4


@bp.get("/my-data/<token>")
def show(token: str) -> Response:
    """All that is kept of her, and what she can do about it; or the button behind the mail to a new address."""
    try:
        own = bridge().my_data.own(token)
    except ExpiredLink:
        raise
    except BadLink:
        return _ask_move(token)
    return _page(token, own)


@bp.post("/my-data/<token>")
def act(token: str) -> Response:
    """Carry out one act; anything else changes nothing."""
    wanted = forms.one("act")
    if wanted == "moved":
        return _move(token)
    own = bridge().my_data.own(token)
    if wanted not in _ACTS:
        abort(400)
    return _ACTS[wanted](token, own)


def _download(_token: str, own: Own) -> Response:
    """One file, as an attachment that no cache keeps."""
    from bridge import access  # the papers of one reader: no other page needs what writes them

    wanted = forms.one("format")
    name = access.NAMES.get(wanted, "")
    made = access.files(bridge(), own.person, _spoken(own)) if name else {}
    if name not in made:
        abort(400)
    response = make_response(made[name])
    response.headers["Content-Type"] = f"{_TYPES[wanted]}; charset=utf-8"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _look(token: str, own: Own) -> Response:
    bridge().my_data.look(token)
    return _page(token, own, done="look")


def _correct(token: str, own: Own) -> Response:
    """Language and declared fields, at once."""
    house, errors = bridge(), dict[str, str]()
    chosen = forms.one("language") or own.language
    if chosen not in house.policy.languages:
        abort(400)
    wanted = {name: forms.one(name).strip() for name in own.fields if name in request.form}
    for name, value in wanted.items():
        if value and not _fits(house.policy.fields.get(name), value):
            errors[name] = _say("Please check what you wrote here.", own)
    if errors:
        return _page(token, own, errors=errors)
    changed = house.my_data.correct(token, chosen, wanted)
    return _page(token, house.my_data.own(token), done="corrected" if changed else "same", switch=True)


def _fits(field: Field | None, value: str) -> bool:
    if field is None or not value.isprintable() or forms.UNREADABLE in value:
        return False
    return len(value) <= field.max_length and value in (field.choices or (value,))


def _address(token: str, own: Own) -> Response:
    """Mail the new address. The answer is the same for every address but her own (CAP-09)."""
    try:
        email = forms.address(forms.one("email"))
    except forms.NoAddress:
        wrong = _say("This does not look like an e-mail address. Example: name@example.org", own)
        return _page(token, own, errors={"email": wrong}, email=forms.one("email"))
    if not bridge().my_data.ask_move(token, email, forms.network()):
        return _page(token, own, errors={"email": _say("This is your address already.", own)}, email=email)
    return _page(token, own, done="asked", email=email)


def _restrict(token: str, _own: Own) -> Response:
    bridge().my_data.restrict(token, restricted=True)
    return _page(token, bridge().my_data.own(token), done="restricted")


def _lift(token: str, _own: Own) -> Response:
    bridge().my_data.restrict(token, restricted=False)
    return _page(token, bridge().my_data.own(token), done="lifted")


def _object(token: str, _own: Own) -> Response:
    bridge().my_data.object(token)
    return _page(token, bridge().my_data.own(token), done="objected")


def _erase(token: str, own: Own) -> Response:
    """First what goes and what stays; erased only when she says so there."""
    house = bridge()
    if forms.one("sure") != "yes":
        return page(
            "erase",
            lang=_spoken(own),
            action=_action(token, own),
            back_url=f"/my-data/{token}",
            email=own.person.email,
            platforms=_platforms(house.store.adapters),
            backups=house.policy.retention.backups,
        )
    spoken = _spoken(own)
    _, erased = house.my_data.erase(token)
    return page(
        "erased",
        lang=spoken,
        platforms=_platforms(erased.platforms),
        backups=house.policy.retention.backups,
        stop_list=house.policy.retention.stop_list,
        languages=(),  # this page cannot be opened again
    )


_ACTS: Mapping[str, Callable[[str, Own], Response]] = {
    "download": _download,
    "look": _look,
    "correct": _correct,
    "address": _address,
    "restrict": _restrict,
    "lift": _lift,
    "object": _object,
    "erase": _erase,
}


# -- a new address ----------------------------------------------------------------------------------------------


def _ask_move(token: str, answer: Moved | None = None) -> Response:
    """Show one button, and where to type the digits once it was pressed. Scanners follow links: a GET moves nobody."""
    try:
        asked = bridge().my_data.moving(token)
    except (ExpiredLink, Late) as error:
        return _too_late(error)
    spoken = language(asked.language)
    names = [bridge().policy.purposes[p].name[spoken] for p in asked.purposes if p in bridge().policy.purposes]
    return page(
        "move",
        status=400 if answer is Moved.WRONG else 200,
        lang=spoken,
        action=f"/my-data/{token}",
        email=masked_email(asked.email),
        purposes=names,
        anew=asked.anew,
        done=asked.done,
        held=asked.held or answer is not None,
        errors=code_errors(answer, spoken),
    )


def _move(token: str) -> Response:
    """The new mailbox says that it is hers."""
    try:
        came, asked = bridge().my_data.move(token, browser.press())
    except (ExpiredLink, Late) as error:
        return _too_late(error)
    if refused(came):
        return _ask_move(token, came)
    spoken = language(asked.language)
    return page("moved", lang=spoken, email=masked_email(asked.email), came=came.value, link_url="/preferences")


def _too_late(error: Exception) -> Response:
    reason = "expired" if isinstance(error, ExpiredLink) else "void"
    return page("move_late", status=410, reason=reason, link_url="/preferences")


# -- the page ---------------------------------------------------------------------------------------------------


def _page(
    token: str,
    own: Own,
    *,
    done: str | None = None,
    errors: Mapping[str, str] | None = None,
    email: str = "",
    switch: bool = False,
) -> Response:
    from bridge import access

    house = bridge()
    spoken = own.language if switch else _spoken(own)
    found = access.collect(house, own.person.email)
    if found is None or found.held is None or found.person is None or found.person.id != own.person.id:
        raise UnknownSubject("erased at this moment")
    sections = access.document(house, found, spoken).sections
    return page(
        "my_data",
        status=400 if errors else 200,
        lang=spoken,
        action=_action(token, own) if not switch else f"/my-data/{token}",
        preferences_url=f"/preferences/{token}",
        email=own.person.email,
        sections=sections[:_OPEN],
        more=sections[_OPEN:],
        has_receipts=access.has_receipts(house, found),
        asked=bool(found.held.copies),
        waiting=any(copy.facts is None for copy in found.held.copies),
        platforms=_platforms(house.store.adapters),
        language=own.language,
        fields=[_field(own, name, spoken, errors or {}) for name in own.fields if name in house.policy.fields],
        restricted=own.restricted,
        objected=own.objected,
        moving=found.held.moving[0] if found.held.moving else None,
        new_email=email,
        done=done,
        errors=errors or {},
    )


def _field(own: Own, name: str, spoken: str, errors: Mapping[str, str]) -> Mapping[str, object]:
    field = bridge().policy.fields[name]
    return {
        "id": name,
        "label": field.label[spoken],
        "value": forms.one(name) if errors else own.person.fields.get(name, ""),
        "choices": field.choices,
        "max_length": field.max_length,
    }


def _platforms(names: tuple[str, ...]) -> list[str]:
    return [bridge().policy.sender(name) for name in names]


def _spoken(own: Own) -> str:
    """The language she switched this page to, else her own."""
    return language(own.language)


def _action(token: str, own: Own) -> str:
    spoken = _spoken(own)
    return f"/my-data/{token}" + (f"?language={spoken}" if spoken != own.language else "")


def _say(message: str, own: Own) -> str:
    return bridge().texts.gettext(_spoken(own), message)
