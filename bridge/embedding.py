"""Our form for the operator's own site, and the link for her mails: pieces of HTML to paste, without a script.

The form is sent as any other, from her page to ours: the answer is our own page, which no other site can read. It says
by their hash which words stood beside its boxes, so that an old copy is proof of what it showed, or is not taken.
"""

import re
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256

from bridge.links import Links
from bridge.notices import Notices, Wording
from bridge.policy import BESIDE, Policy
from bridge.texts import TEMPLATES, Texts, shades

#: The tag of the component, as `templates/static/embed.js` defines it.
TAG = "consent-bridge-form"

#: Blanks that a browser does not need. One before a colon it does: `.consent-form :focus-visible`.
_BLANKS = re.compile(r"(?<=[{};:,>+]) +| +(?=[{}>+])|;(?= ?})")


def form(
    policy: Policy, notices: Notices, links: Links, texts: Texts, *, channel: str, language: str, scripted: bool = False
) -> str:
    """The form of a channel with the words in use, every box empty (CAP-01). All its addresses are whole.

    `scripted`: it stands in the component, which can count before it is sent where the policy asks for that (CAP-10).
    """
    asks = policy.channels[channel]
    return texts.render(
        "embed/form.html",
        language,
        action=links.url("/subscribe"),
        channel=channel,
        prefix=f"consent-{channel}",
        beside=asks.kind in BESIDE,
        purposes=[_shown(policy, links, notices.wording(purpose, language)) for purpose in asks.purposes],
        fields=[f for f in policy.fields.values() if set(f.purposes) & set(asks.purposes) and not f.rhythm],
        counts=scripted and policy.sign_up.proof_of_work,
        age=policy.age.years if policy.for_children.intersection(asks.purposes) else None,
    )


def component(inside: str, links: Links, *, channel: str, language: str) -> str:
    """The same form, which a script of ours keeps at today's words where it may run."""
    return (
        f'<{TAG} channel="{channel}" language="{language}">\n{inside}\n</{TAG}>\n'
        f'<script src="{links.url("/embed.js")}" defer></script>'
    )


def style(policy: Policy) -> str:
    """Looks for the form, for a page that has none of its own for it: by day and by night as that page is.

    A strict Content-Security-Policy lets it in by the hash that stands above it.
    """
    sheet = (TEMPLATES / "embed" / "style.css").read_text("utf-8")
    day, night = shades(policy.looks.accent)
    light = "".join(f"--{name}: {value};" for name, value in day.items())
    both = "".join(
        f"--{name}: light-dark({value}, {night[name]});" for name, value in day.items() if value != night[name]
    )
    sheet = sheet.replace("/* by day */", light).replace("/* by night */", both)
    rules = "\n" + _BLANKS.sub("", sheet.replace("\n  ", " "))
    known_by = b64encode(sha256(rules.encode()).digest()).decode()
    return f"<!-- If your site has a Content-Security-Policy: style-src 'sha256-{known_by}' -->\n<style>{rules}</style>"


def mail_link(texts: Texts, place: str, language: str) -> str:
    """The link to her preferences for a mail; `place` is what the platform puts each reader's address for."""
    words = texts.gettext(language, "See and change your preferences")
    return f'<a href="{place}">{words}</a>'


def versions(
    notices: Notices, policy: Policy, purposes: Iterable[str], hashes: Iterable[str], language: str
) -> dict[str, int] | None:
    """Which version of the words stood beside each of these boxes, as the form says by their hashes.

    None = of one of them it is not known, or nobody may be mailed on it any more: such a form is not taken.
    """
    told = set(hashes)
    shown = {one.purpose: one.version for one in notices if one.language == language and one.sha256 in told}
    found = {purpose: shown.get(purpose, 0) for purpose in purposes}
    old = any(version < policy.purposes[purpose].notice_since for purpose, version in found.items())
    return None if old or 0 in found.values() else found


def _shown(policy: Policy, links: Links, words: Wording) -> dict[str, object]:
    purpose = policy.purposes[words.purpose]
    return {
        "id": purpose.id,
        "name": purpose.name[words.language],
        "description": purpose.description[words.language],
        "label": words.label,
        "paragraphs": [each.split("\n") for each in words.text.split("\n\n")],
        "wording": words.sha256,
        "version": words.version,
        "url": links.url(f"/notices/{words.purpose}/{words.version}/{words.language}"),
    }
