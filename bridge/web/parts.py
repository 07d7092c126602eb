"""What several of the readers' pages share."""

from collections.abc import Sequence

from flask import Response

from bridge.acts import Confirmed, Ended
from bridge.links import ExpiredLink
from bridge.notices import Wording
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


def confirmed(words: Sequence[Wording], answer: Confirmed) -> Response:
    """What she receives from now on; of a child once her parent or guardian has agreed as well (KID-01)."""
    return page(
        "confirmed",
        lang=language(words[0].language),
        purposes=[shown(one) for one in words],
        again=answer is Confirmed.AGAIN,
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
