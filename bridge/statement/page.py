"""The statement as a page."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from bridge.statement.items import SECTIONS, Content
from bridge.texts import Texts


def _said(items: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """A section without what a draft does not say yet."""
    return [
        item | {"facts": [fact for fact in item["facts"].values() if fact[1].strip()]}
        for item in items.values()
        if (item["title"] or item["text"]).strip()
    ]


def render(
    texts: Texts,
    language: str,
    told: Content,
    *,
    version: str,
    day: date,
    changed: Sequence[Mapping[str, str]] = (),
    earlier: Sequence[Mapping[str, object]] = (),
) -> str:
    """The statement as a page. `earlier`: the versions before it, each with `version`, `day` and `sha256`."""
    return texts.render(
        "pages/privacy.html",
        language,
        sections=[(key, texts.gettext(language, words), _said(told[key])) for key, words in SECTIONS.items()],
        headings={key: texts.gettext(language, words) for key, words in SECTIONS.items()},
        version=version,
        date=day,
        changes=changed,
        earlier=earlier,
    )
