"""What happens to a member at Mailchimp itself, and the webhooks that tell it."""

from email.message import EmailMessage
from email.utils import make_msgid
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from adapters.sandbox import moment
from adapters.sandbox.addresses import valid
from adapters.sandbox.courier import Delivery, mailchimp_signature, unsigned
from adapters.sandbox.esp import ActError
from adapters.sandbox.mailchimp_audience import AUDIENCE, Listed, hashed

if TYPE_CHECKING:
    from adapters.sandbox.mailchimp import Mailchimp

_CAMPAIGN = "cb398d21d2"


def act(esp: "Mailchimp", email: str, what: str, purpose: str) -> str:
    """Let something happen to a member; says what."""
    if what == "subscribe":
        return _subscribe(esp, email, purpose)
    member = esp.audience.members.get(hashed(email))
    if member is None:
        raise ActError("Mailchimp does not know this address. Subscribe it first.")
    member.last_changed, before = moment.now(), member.status
    try:
        return _act(esp, member, what, purpose)
    finally:
        member.was(before)


def _act(esp: "Mailchimp", member: Listed, what: str, purpose: str) -> str:
    if what == "bounce":
        member.status, member.compliance = "cleaned", True
        tell(esp, "cleaned", member, "admin", campaign_id=_CAMPAIGN, reason="hard")
        return "Mailchimp cleaned the address after a hard bounce and tells the bridge."
    if what == "abuse":
        member.status, member.compliance = "cleaned", True
        tell(esp, "cleaned", member, "admin", campaign_id=_CAMPAIGN, reason="abuse")
        return "Mailchimp cleaned the address after complaints and tells the bridge."
    if what == "remove":
        member.status = "archived"
        tell(esp, "unsubscribe", member, "admin", action="delete", reason="manual")
        return "Somebody took the reader off the audience at Mailchimp, which tells the bridge."
    if what == "edit":
        tell(esp, "profile", member, "user")
        return "The reader changed her name at Mailchimp, which tells the bridge that her profile changed."
    if what == "complain":
        return _complain(esp, member)
    if what == "unsubscribe":
        return _unsubscribe(esp, member, purpose)
    if what == "confirm":
        return _confirm(esp, member)
    if what == "move":
        return _move(esp, member)
    if what == "compliance":
        member.status, member.compliance = "unsubscribed", True
        return "Mailchimp put the member in compliance state and tells nobody."
    raise ActError(f"Mailchimp knows no act {what!r}.")


def _subscribe(esp: "Mailchimp", email: str, purpose: str) -> str:
    """The one road back for forgotten addresses and those in compliance state: a form at Mailchimp itself."""
    if not valid(email):
        raise ActError("This is no address.")
    member = esp.audience.members.setdefault(hashed(email), Listed(email.strip(), "subscribed"))
    member.status, member.compliance, member.last_changed = "subscribed", False, moment.now()
    esp.audience.forgotten.discard(hashed(email))
    interest = esp.audience.interest(purpose) if purpose else None
    if interest:
        member.interests[interest] = True
    tell(esp, "subscribe", member, "user")
    return "The reader signed up on a form at Mailchimp, which tells the bridge."


def _confirm(esp: "Mailchimp", member: Listed) -> str:
    if member.status != "pending":
        raise ActError("Mailchimp asked this address nothing.")
    member.status, member.compliance = "subscribed", False
    tell(esp, "subscribe", member, "user")
    return "The reader pressed the button in Mailchimp's own mail, and Mailchimp tells the bridge."


def _move(esp: "Mailchimp", member: Listed) -> str:
    """She changes her address on Mailchimp's own page."""
    old, new = member.email, f"new.{member.email}"
    if hashed(new) in esp.audience.members:
        raise ActError("Her new address is at Mailchimp already.")
    esp.audience.members[hashed(new)] = esp.audience.members.pop(hashed(old))
    member.email = new
    tell(esp, "upemail", member, "user", old_email=old, new_email=new, new_id=member.unique_id)
    return "The reader changed her address at Mailchimp, which tells the bridge."


def _complain(esp: "Mailchimp", member: Listed) -> str:
    member.status, member.compliance, member.unsubscribe_reason = "unsubscribed", True, "N/A (Abuse complaint)"
    esp.audience.abuse.append(
        {
            "id": len(esp.audience.abuse) + 1,
            "campaign_id": _CAMPAIGN,
            "list_id": AUDIENCE,
            "email_id": hashed(member.email),
            "email_address": member.email,
            "merge_fields": dict(member.fields),
            "vip": member.vip,
            "date": moment.now().isoformat(timespec="seconds"),
            "_links": [],
        }
    )
    tell(esp, "unsubscribe", member, "user", action="unsub", reason="abuse", campaign_id=_CAMPAIGN)
    return "The reader reported spam; Mailchimp unsubscribed her and tells the bridge."


def _unsubscribe(esp: "Mailchimp", member: Listed, purpose: str) -> str:
    if not purpose:
        member.status, member.unsubscribe_reason = "unsubscribed", "No longer interested"
        tell(esp, "unsubscribe", member, "user", action="unsub", reason="manual", campaign_id=_CAMPAIGN)
        return "The reader unsubscribed at Mailchimp, which tells the bridge."
    interest = esp.audience.interest(purpose)
    if interest is None:
        raise ActError(f"Mailchimp has no interest called {purpose!r}.")
    member.interests[interest] = False
    tell(esp, "profile", member, "user")
    return f"The reader unticked {purpose} at Mailchimp, which tells the bridge that her profile changed."


def tell(esp: "Mailchimp", kind: str, member: Listed, source: str, **extra: str) -> None:
    """Send a webhook to everybody who wants this kind from this source."""
    body = form(esp, kind, member, extra)
    for hook in esp.webhooks.values():
        if not hook.enabled or not hook.events.get(kind) or not hook.sources.get(source):
            continue

        esp.courier.send(
            Delivery(
                esp=esp.name,
                url=hook.url,
                what=kind,
                body=body,
                content_type="application/x-www-form-urlencoded",
                sign=partial(mailchimp_signature, hook.signing_secret) if hook.signing_secret else unsigned,
                gone=partial(_switch_off, esp, hook.id),
            ),
            esp.trouble.mode,
            esp.trouble.seconds,
        )


def _switch_off(esp: "Mailchimp", key: str) -> None:
    with esp.lock:
        if key in esp.webhooks:
            esp.webhooks[key].enabled = False
        esp.keep()


def form(esp: "Mailchimp", kind: str, member: Listed, extra: dict[str, str]) -> bytes:
    """The published form body: nested names in brackets, a time without zone."""
    data: dict[str, Any] = dict(extra)
    if kind == "upemail":
        data = {"list_id": AUDIENCE, **extra}
    elif kind == "cleaned":
        data = {"list_id": AUDIENCE, **extra, "email": member.email}
    else:
        data |= {"id": member.unique_id, "list_id": AUDIENCE, "email": member.email, "email_type": member.email_type}
        data["merges"] = _merges(esp, member)
        data["ip_opt"] = member.given.get("ip_opt", "192.0.2.30")
    pairs = [("type", kind), ("fired_at", f"{moment.now():%Y-%m-%d %H:%M:%S}"), *_flat("data", data)]
    return urlencode(pairs).encode()


def _merges(esp: "Mailchimp", member: Listed) -> dict[str, Any]:
    groupings: dict[str, Any] = {}
    on: list[str] = []
    for place, (category, interests) in enumerate(esp.audience.interests.items()):
        names = [name for one, name in interests.items() if member.interests.get(one)]
        on += names
        groupings[str(place)] = {
            "id": str(6197 + place),
            "unique_id": category,
            "name": esp.audience.categories[category],
            "groups": ", ".join(names),
        }
    fields = {tag: member.fields.get(tag, "") for tag in esp.audience.fields}
    return {"EMAIL": member.email, **fields, "INTERESTS": ", ".join(on), "GROUPINGS": groupings}


def _flat(prefix: str, value: Any) -> list[tuple[str, str]]:
    if not isinstance(value, dict):
        return [(prefix, str(value))]
    return [pair for name, part in value.items() for pair in _flat(f"{prefix}[{name}]", part)]


def ask(esp: "Mailchimp", member: Listed) -> None:
    """Mailchimp's own confirmation mail for a pending member: the reader sees when she is asked twice."""
    mail = EmailMessage()
    mail["From"] = "Mailchimp <no-reply@mailchimp.example>"
    mail["To"] = member.email
    mail["Subject"] = "Please confirm your subscription"
    mail["Message-ID"] = make_msgid(domain="mailchimp.example")
    mail.set_content("This mail was sent by Mailchimp itself, because the API asked for status pending.\n")
    esp.mailbox.put([member.email], mail.as_bytes())
