"""Where a reader says yes: behind the link of a mail, or with the digits that stand in it.

A GET or HEAD never changes anything: mail scanners open every link, from many networks, some with scripts (CON-05).
Only a page that is opened in the browser which sent the form may press its own button.
"""

from flask import Blueprint, Response

from bridge.acts import Confirmed, How, Late
from bridge.links import ExpiredLink
from bridge.vocabulary import masked_email
from bridge.web import browser, forms
from bridge.web.app import bridge, language, page, with_script
from bridge.web.parts import code_errors, confirm_late, confirmed, refused, shown

bp = Blueprint("confirming", __name__)


@bp.get("/confirm/<token>")
def ask_confirm(token: str) -> Response:
    """Show one button. Scanners follow links, so a GET confirms nothing."""
    return _confirm_page(token)


@bp.post("/confirm/<token>")
def confirm(token: str) -> Response:
    """The reader's yes."""
    try:
        answer, words = bridge().acts.confirm(token, browser.press(by_cookie=True))
    except (ExpiredLink, Late) as error:
        return confirm_late(error)
    if refused(answer):
        return _confirm_page(token, answer)
    return confirmed(words, answer)


def _confirm_page(token: str, answer: Confirmed | None = None) -> Response:
    acts = bridge().acts
    try:
        person, words = acts.asked(token)
        how = How.TYPE if answer else acts.how_asked(token, browser.place())
    except (ExpiredLink, Late) as error:
        return confirm_late(error)
    spoken = language(words[0].language)
    told = page(
        "confirm",
        status=400 if answer is Confirmed.WRONG else 200,
        lang=spoken,
        action=f"/confirm/{token}",
        masked=masked_email(person.email),
        purposes=[shown(w) for w in words],
        how=how.value,
        errors=code_errors(answer, spoken),
    )
    return with_script(told) if how is How.BY_ITSELF else told


# -- the digits of the mail -------------------------------------------------------------------------------------


@bp.get("/subscribe/code")
def ask_code() -> Response:
    """Show where to type the digits, in the browser that sent the form."""
    return _code_page(language(), forms.place_as_told())


@bp.post("/subscribe/code")
def take_code() -> Response:
    """Her yes by the digits of the mail. Whatever is wrong, the answer is the same (CAP-09)."""
    spoken = language(forms.one("language"))
    place, form = forms.place_of_form()
    typed = browser.press()._replace(place=place or browser.place(), form=form)
    if typed.is_code is None:
        return _code_page(spoken, forms.place_as_told(), Confirmed.HELD)
    try:
        answer, words = bridge().acts.type_code(typed)
    except Late as error:
        return confirm_late(error)
    if refused(answer):
        return _code_page(spoken, forms.place_as_told(), answer)
    return confirmed(words, answer)


def _code_page(spoken: str, place: str, answer: Confirmed | None = None) -> Response:
    return page(
        "code",
        status=400 if answer else 200,
        lang=spoken,
        action="/subscribe/code",
        place=place,
        errors=code_errors(answer, spoken),
        subscribe_url="/subscribe",
    )


# -- the question that is put once ------------------------------------------------------------------------------


@bp.get("/question/<token>")
def ask_question(token: str) -> Response:
    """Show two buttons. Scanners follow links, so a GET answers nothing."""
    return _question_page(token)


@bp.post("/question/<token>")
def answer_question(token: str) -> Response:
    """The reader's yes; her no is posted to `/u/`."""
    try:
        answer, words = bridge().acts.say_yes(token, browser.press())
    except (ExpiredLink, Late) as error:
        return confirm_late(error)
    if refused(answer):
        return _question_page(token, answer)
    return confirmed([words], answer)


def _question_page(token: str, answer: Confirmed | None = None) -> Response:
    try:
        person, words, no = bridge().acts.question(token)
    except (ExpiredLink, Late) as error:
        return confirm_late(error)
    if not no:
        return confirmed([words], Confirmed.AGAIN)
    spoken = language(words.language)
    return page(
        "question",
        status=400 if answer is Confirmed.WRONG else 200,
        lang=spoken,
        action=f"/question/{token}",
        no_action=f"/u/{no}",
        masked=masked_email(person.email),
        purpose=shown(words),
        held=answer is not None,
        errors=code_errors(answer, spoken),
    )
