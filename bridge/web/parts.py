"""What several of the readers' pages share."""

from collections.abc import Sequence

from flask import Response

from bridge.acts import Confirmed, Ended
from bridge.decide import TRIES
from bridge.links import ExpiredLink
from bridge.notices import Wording
from bridge.store.answering import HELD, WRONG
from bridge.web.app import bridge, language, page


def shown(words: Wording) -> dict[str, object]:
    """One purpose with the exact words beside its box (CAP-04)."""
    purpose = bridge().policy.purposes[words.purpose]
    return {
        "id": purpose.id,
        "name": purpose.name[words.language],
        "description": purpose.description[words.language],
        "frequency": purpose.frequency[words.language],
        "label": words.label,
        "notice": words.text,
        "wording": words.sha256,
        "version": words.version,
        "url": f"/notices/{words.purpose}/{words.version}/{words.language}",
    }


def named(purposes: Sequence[str], spoken: str) -> list[dict[str, str]]:
    """Purposes by id and name."""
    return [{"id": purpose, "name": bridge().policy.purposes[purpose].name[spoken]} for purpose in purposes]


def confirmed(words: Sequence[Wording], answer: Confirmed) -> Response:
    """What she receives from now on; of a child once her parent or guardian has agreed as well (KID-01)."""
    return page(
        "confirmed",
        lang=language(words[0].language),
        purposes=[shown(one) for one in words],
        again=answer is Confirmed.AGAIN,
        paused=answer is Confirmed.PAUSED,
        waits=answer in (Confirmed.WAITS, Confirmed.UNASKED),
        unasked=answer is Confirmed.UNASKED,
        for_children=all(one.purpose in bridge().policy.for_children for one in words),
        age=bridge().policy.age.years,
        preferences_url="/preferences",
        subscribe_url="/subscribe",
    )


def confirm_late(error: Exception) -> Response:
    """A link that no longer says yes, and why."""
    reason = "expired" if isinstance(error, ExpiredLink) else "ended" if isinstance(error, Ended) else "void"
    return page("confirm_late", status=410, reason=reason, subscribe_url="/subscribe")


def refused(answer: str) -> bool:
    """Whether a yes was not taken: it waits for the code of the mail, or that was wrong."""
    return answer in (HELD, WRONG)


def code_errors(answer: str | None, spoken: str) -> dict[str, str]:
    """What is wrong with the digits, in the reader's language. Every reason reads alike (CAP-09)."""
    if answer != WRONG:
        return {}
    say = bridge().texts.gettext
    words = say(
        spoken,
        "These digits do not work. Did you confirm already? Then all is done. Else look at the newest mail once more; "
        "after %(tries)s wrong tries its digits no longer count.",
        tries=TRIES,
    )
    return {"code": words}
