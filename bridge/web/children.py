"""What children and their guardians open: the age question of a form, the guardian's page, and going on alone later.

Nobody is asked for a birth date: only whether she is at least N, in one answer (KID-01). A GET never changes anything.
"""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from flask import Blueprint, Response, request

from bridge.acts import Confirmed, Late
from bridge.guardians import Ward, Word
from bridge.links import ExpiredLink
from bridge.store.answering import WRONG
from bridge.vocabulary import normal_email
from bridge.web import browser, forms
from bridge.web.app import bridge, language, page
from bridge.web.parts import code_errors, confirm_late, confirmed, refused, shown

bp = Blueprint("children", __name__)


class AgeAnswer(NamedTuple):
    """What a form says of her age: nothing where it does not ask."""

    old_enough: bool | None = None
    guardian: str = ""


def asked_age(channel: str) -> int | None:
    """The age a channel's form asks about; None where it offers nothing to children."""
    policy = bridge().policy
    return policy.age.years if policy.for_children.intersection(policy.channels[channel].purposes) else None


def answer(channel: str, email: str, purposes: Sequence[str], errors: dict[str, str], spoken: str) -> AgeAnswer:
    """Her answer and, of a child, whom we may ask. What is missing goes into `errors`."""
    house, age = bridge(), asked_age(channel)
    if age is None:
        return AgeAnswer()
    told = forms.one("at_least")
    say = house.texts.gettext
    if told == "yes":
        return AgeAnswer(old_enough=True)
    if told != "no":
        if house.policy.for_children.intersection(purposes):
            errors["at_least"] = say(spoken, "Please say whether you are at least %(age)s years old.", age=age)
        return AgeAnswer()
    too_old = [p for p in purposes if p not in house.policy.for_children]
    if too_old:
        names = ", ".join(house.policy.purposes[p].name[spoken] for p in too_old)
        errors["purpose"] = say(spoken, "You can get this when you are %(age)s: %(names)s", age=age, names=names)
    try:
        guardian = forms.address(forms.one("guardian"))
    except forms.NoAddress:
        errors["guardian"] = say(spoken, "We need the e-mail address of your parent or guardian, to ask them.")
        return AgeAnswer(old_enough=False)
    if normal_email(guardian) == normal_email(email):
        errors["guardian"] = say(spoken, "This is your own address. Please give the one of your parent or guardian.")
    return AgeAnswer(old_enough=False, guardian=guardian)


# -- the guardian -----------------------------------------------------------------------------------------------


@bp.get("/guardian/<token>")
def ask_guardian(token: str) -> Response:
    """Show who asks, for what, in which words, and the buttons. Scanners follow links, so a GET answers nothing."""
    return _guardian_page(token, bridge().guardians.ward(token))


@bp.post("/guardian/<token>")
def answer_guardian(token: str) -> Response:
    """The guardian's yes, with the month it ends in where that was said; or the no, now or later."""
    guardians = bridge().guardians
    if forms.one("answer") == "no":
        return _guardian_page(token, guardians.say_no(token), pressed=True)
    if forms.one("answer") != "yes":
        return _guardian_page(token, guardians.ward(token), status=400)
    years = forms.one("years")
    try:
        lasts = int(years) if years.isascii() and years.isdigit() else None
        ward, answer = guardians.say_yes(token, lasts, browser.press())
    except (ExpiredLink, Late):
        return _guardian_page(token, guardians.ward(token), status=410, late=True)
    if refused(answer):
        return _guardian_page(token, ward, status=400 if answer == WRONG else 200, answer=answer)
    return _guardian_page(token, ward, pressed=True)


def _guardian_page(
    token: str, ward: Ward, *, pressed: bool = False, status: int = 200, late: bool = False, answer: str = ""
) -> Response:
    house = bridge()
    over = ward.word is Word.OVER or late or (ward.word is Word.ASKED and not ward.may_say_yes)
    today = house.clock().astimezone(house.policy.zone).date()
    return page(
        "guardian",
        status=status,
        lang=language(ward.language or None),
        held=bool(answer),
        years=forms.one("years") if answer else "",
        errors=code_errors(answer, language(ward.language or None)),
        action=f"/guardian/{token}",
        masked=ward.masked,
        purposes=[shown(words) for words in ward.words],
        word="over" if over else ward.word,
        may_stop=ward.word is Word.ASKED and over and not late,
        pressed=pressed,
        until=ward.until,
        age=house.policy.age.years,
        ends=[(years, _month(today, years)) for years in range(1, house.policy.age.years + 1)],
        months=house.policy.limits_.guardian_lasts.count,
    )


def _month(today: date, years: int) -> date:
    return date(today.year + years, today.month, 1)


# -- coming of age ----------------------------------------------------------------------------------------------


@bp.get("/of-age/<token>")
def ask_of_age(token: str) -> Response:
    """Show the question and its words. Scanners follow links, so a GET answers nothing."""
    try:
        return _of_age_page(token)
    except (ExpiredLink, Late) as error:
        return confirm_late(error)


@bp.post("/of-age/<token>")
def answer_of_age(token: str) -> Response:
    """She decides alone now and goes on; or she is younger still, and her guardian has to agree again."""
    told = forms.one("at_least")
    try:
        if told == "no":
            person, _, _ = bridge().guardians.asked_of_age(token)
            return page("still_a_child", lang=language(person.language), subscribe_url="/subscribe")
        if told != "yes":
            return _of_age_page(token, missing=True)
        done, words = bridge().guardians.say_of_age(token, browser.press())
    except (ExpiredLink, Late) as error:
        return confirm_late(error)
    if refused(done):
        return _of_age_page(token, answer=done)
    return confirmed(words, done)


def _of_age_page(token: str, *, missing: bool = False, answer: str = "") -> Response:
    house = bridge()
    _person, words, answered = house.guardians.asked_of_age(token)
    if answered:
        return confirmed(words, Confirmed.AGAIN)
    age = house.policy.age.years
    spoken = language(words[0].language)
    say = house.texts.gettext
    wrong = {"at_least": say(spoken, "Please say whether you are at least %(age)s years old.", age=age)}
    return page(
        "of_age",
        status=400 if missing or answer == WRONG else 200,
        lang=spoken,
        held=bool(answer),
        action=f"/of-age/{token}",
        age=age,
        at_least=forms.one("at_least") if request.method == "POST" else "",
        purposes=[shown(one) for one in words],
        errors=wrong if missing else code_errors(answer, spoken),
    )
