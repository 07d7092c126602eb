"""The privacy statement, published: checked, numbered, dated, with what changed, and kept byte for byte (TRN-03)."""

from datetime import date
from typing import Any, NamedTuple

from bridge.bootstrap import Bridge
from bridge.statement import Lack, changes, content, lacks, render
from bridge.store.papers import Published


class Draft(NamedTuple):
    """The statement as it would be published now."""

    version: int
    content: dict[str, dict[str, Any]]  # language -> what it says
    lacks: dict[str, list[Lack]]  # language -> what it does not say
    changes: dict[str, list[dict[str, str]]]  # language -> against the newest that is out
    newest: list[Published]  # what is out now, in each language

    @property
    def whole(self) -> bool:
        """Nothing is missing in any language."""
        return not any(self.lacks.values())

    @property
    def changed(self) -> bool:
        """It says something else than what is out, or says it in another language too."""
        return any(self.changes.values()) or {one.language for one in self.newest} != set(self.content)

    @property
    def material(self) -> bool:
        """Readers must hear of what changed (TRN-05)."""
        return bool(self.newest) and any(change["material"] for each in self.changes.values() for change in each)


class Refused(Exception):
    """It has gaps, or nothing changed; the text has one line for each."""


def draft(bridge: Bridge) -> Draft:
    """What would be published today."""
    policy, texts, book = bridge.policy, bridge.texts, bridge.store.papers
    today = bridge.clock().astimezone(policy.zone).date()
    newest = book.newest()
    out = book.versions(newest) if newest else []
    before = {one.language: one.content for one in out}
    told = {language: content(policy, texts, language) for language in policy.languages}
    return Draft(
        version=newest + 1,
        content=told,
        lacks={language: lacks(policy, said, today) for language, said in told.items()},
        changes={
            language: changes(before[language], said) if language in before else [] for language, said in told.items()
        },
        newest=out,
    )


def publish(bridge: Bridge, by: str) -> Draft:
    """Publish what `draft` gives, in all languages at once. Raises `Refused` while a gap is in it."""
    made = draft(bridge)
    if not made.whole:
        named = {f"{lack.where}: {lack.fix}": None for each in made.lacks.values() for lack in each}
        raise Refused("\n".join(named))
    if not made.changed:
        raise Refused(f"nothing changed since version {made.version - 1}: it is still what is out")
    now = bridge.clock()
    today = now.astimezone(bridge.policy.zone).date()
    pages = {}
    for language, told in made.content.items():
        page = render(
            bridge.texts,
            language,
            told,
            version=str(made.version),
            day=today,
            changed=made.changes[language],
            earlier=earlier(bridge, language),
        )
        pages[language] = (page.encode(), told, made.changes[language])
    bridge.store.papers.publish(made.version, by, now, pages)
    return made


def earlier(bridge: Bridge, language: str) -> list[dict[str, object]]:
    """The versions that are out in this language, the newest first."""
    zone = bridge.policy.zone
    found = []
    for one in reversed(bridge.store.papers.versions()):
        if one.language == language:
            day: date = one.published.astimezone(zone).date()
            found.append({"version": str(one.version), "day": day, "sha256": one.sha256})
    return found
