"""What one version of the statement says that the other did not (TRN-03), and what of it readers must hear (TRN-05)."""

from typing import Any

from bridge.statement.items import SECTIONS, Content

#: Sections in which something new, or other, is told to readers (TRN-05).
_MATERIAL = frozenset({"controller", "purposes", "recipients", "transfers"})


def changes(before: Content, after: Content) -> list[dict[str, str]]:
    """Item by item what one version says that the other did not; `material` where readers must hear of it (TRN-05)."""
    found = []
    for section in SECTIONS:
        old, new = before.get(section, {}), after.get(section, {})
        for key in [*new, *(key for key in old if key not in new)]:
            if old.get(key) == new.get(key):
                continue
            how = "added" if key not in old else "removed" if key not in new else "changed"
            item = new.get(key) or old[key]
            found.append(
                {
                    "how": how,
                    "section": section,
                    "key": key,
                    "title": item["title"] or item["text"],
                    "before": _brief(old[key]) if how == "changed" else "",
                    "after": _brief(new[key]) if how == "changed" else "",
                    "material": "yes" if _is_material(section, key, old.get(key), new.get(key)) else "",
                }
            )
    return found


def _is_material(section: str, key: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> bool:
    """A new purpose, controller, recipient or transfer, or another ground, tool or country."""
    if section not in _MATERIAL or new is None or key in ("nobody", "none"):
        return False
    if old is None:
        return True
    if section == "controller":
        return bool(old["title"] != new["title"])
    if section == "purposes":
        facts = ("ground", "interest", "recipients")
        return any(old["facts"].get(fact) != new["facts"].get(fact) for fact in facts)
    return bool(old["facts"] != new["facts"])


def _brief(item: dict[str, Any]) -> str:
    """An item in one line."""
    return "; ".join(
        text for text in (item["title"], item["text"], *(text for _, text in item["facts"].values())) if text
    )
