"""The papers anybody may read: the privacy statement, and the exact words once shown beside a box."""

from datetime import UTC, datetime
from hashlib import sha256

from flask import Blueprint, Response, abort

from bridge.web.app import bridge, language, page

bp = Blueprint("papers", __name__)

#: Wordings are counted from 1; a number beyond this was never one, and is more than a database column holds.
_MOST_VERSIONS = 1_000_000


@bp.get("/privacy")
def privacy() -> Response:
    """The privacy statement, from the policy."""
    return _privacy()


@bp.get("/privacy/<version>")
def privacy_version(version: str) -> Response:
    """The statement of that version; only the current one is kept until statements are published."""
    if version != _statement_version():
        abort(404)
    return _privacy()


def _privacy() -> Response:
    house = bridge()
    spoken = language()
    policy = house.policy
    return page(
        "privacy",
        lang=spoken,
        purposes=[
            {
                "name": p.name[spoken],
                "description": p.description[spoken],
                "basis": p.basis.value,
                "frequency": p.frequency[spoken],
                "recipients": list(p.recipients),
            }
            for p in policy.purposes.values()
        ],
        processors=[
            {"name": p.name, "service": p.service, "country": p.country, "transfer_tool": p.transfer_tool}
            for p in policy.processors.values()
        ],
        sources=[{"name": c.source.name, "contact": c.source.contact} for c in policy.channels.values() if c.source],
        retention=_retention(),
        version=_statement_version(),
        date=datetime.fromtimestamp(house.settings.policy.stat().st_mtime, UTC),
        postal_address=policy.mail.postal_address,
    )


def _retention() -> list[dict[str, object]]:
    kept = bridge().policy
    return [
        {"what": "pending", "how_long": kept.limits_.pending_ttl},
        {"what": "consent", "how_long": kept.limits_.consent_max_age},
        {"what": "profile", "how_long": kept.retention.profile},
        {"what": "evidence", "how_long": kept.retention.evidence},
        {"what": "stop_list", "how_long": kept.retention.stop_list},
    ]


def _statement_version() -> str:
    """The version is what the statement is made of: the policy's own bytes."""
    return sha256(bridge().settings.policy.read_bytes()).hexdigest()[:12]


@bp.get("/notices/<purpose>/<int:version>/<spoken>")
def notice(purpose: str, version: int, spoken: str) -> Response:
    """The exact words once shown beside a box (CAP-07)."""
    house = bridge()
    if version > _MOST_VERSIONS or not purpose.isprintable() or not spoken.isprintable():
        abort(404)
    words = house.notices.get((purpose, version, spoken)) or house.store.shown(purpose, version, spoken)
    if words is None:
        abort(404)
    known = house.policy.purposes.get(purpose)
    tongue = spoken if spoken in house.policy.languages else language()
    return page(
        "notice",
        lang=tongue,
        purpose=known.name[tongue] if known else purpose,
        version=version,
        language=spoken,
        label=words.label,
        notice=words.text,
        sha256=words.sha256,
    )
