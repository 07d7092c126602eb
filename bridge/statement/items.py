"""What the statement says, item by item, in one language. Every leaf is what readers see."""

from typing import Any

from bridge.policy import Policy, Processor, Purpose, is_third_country
from bridge.texts import Texts, mark
from bridge.vocabulary import LegalBasis

#: Section -> key -> {"title", "text", "facts": {key: [label, text]}}; every leaf is what readers see.
Content = dict[str, dict[str, dict[str, Any]]]

#: The sections in the order of the page, with their headings.
SECTIONS = {
    "controller": mark("Who is responsible"),
    "representative": mark("Our representative in the European Union"),
    "contact": mark("Whom to ask about your data"),
    "purposes": mark("What we send and why we may"),
    "duties": mark("What we keep besides, and why"),
    "data": mark("Which data this is about"),
    "source": mark("Where we have it from"),
    "required": mark("Must you give it?"),
    "recipients": mark("Who gets it"),
    "transfers": mark("Outside Europe"),
    "retention": mark("How long we keep it"),
    "rights": mark("What you can ask"),
    "withdrawal": mark("Taking back a yes"),
    "complaint": mark("Complaining"),
    "automated": mark("Decisions by machines"),
}


def content(policy: Policy, texts: Texts, language: str) -> Content:
    """What the statement says in this language."""
    return {
        "controller": _controller(policy, texts, language),
        "representative": _representative(policy),
        "contact": _contact(policy, texts, language),
        "purposes": {p.id: _purpose(policy, p, texts, language) for p in policy.purposes.values()},
        "duties": _duties(policy, texts, language),
        "data": _data(policy, texts, language),
        "source": _sources(policy, texts, language),
        "required": {"required": _item("", _required(texts, language))},
        "recipients": _recipients(policy, texts, language),
        "transfers": _transfers(policy, texts, language),
        "retention": _retention(policy, texts, language),
        "rights": _rights(texts, language),
        "withdrawal": {"withdrawal": _item("", _withdrawal(texts, language))},
        "complaint": _complaint(policy, texts, language),
        "automated": {"automated": _item("", _automated(policy, texts, language))},
    }


def _item(title: str, text: str, **facts: list[str]) -> dict[str, Any]:
    return {"title": title, "text": text, "facts": facts}


def told_of(policy: Policy) -> list[Processor]:
    """The third parties that readers are told of."""
    return [party for party in policy.processors.values() if party.told]


def _controller(policy: Policy, texts: Texts, language: str) -> dict[str, Any]:
    say, who = texts.gettext, policy.controller
    found = {
        "controller": _item(
            who.name,
            "",
            address=[say(language, "Address"), who.address],
            email=[say(language, "E-mail"), who.email],
            website=[say(language, "Website"), who.website],
        )
    }
    if policy.mail.postal_address.strip() not in ("", who.address):
        found["controller"]["facts"]["letters"] = [say(language, "Letters about our mail"), policy.mail.postal_address]
    for party in told_of(policy):
        if party.role == "joint":
            text = say(language, "decides with us; you can turn to either of us")
            found[party.key] = _item(party.name, text)
    return found


def _representative(policy: Policy) -> dict[str, Any]:
    who = policy.statement.representative
    if who is not None:
        return {"representative": _item(who.name, who.email)}
    return {"representative": _item("", "")} if is_third_country(policy.country) else {}


def _contact(policy: Policy, texts: Texts, language: str) -> dict[str, Any]:
    who = policy.dpo or policy.privacy_contact
    if who is None:
        return {}
    officer = texts.gettext(language, "Data protection officer:")
    plain = texts.gettext(language, "Questions about your data:")
    email = [texts.gettext(language, "E-mail"), who.email]
    return {"contact": _item(officer if policy.dpo else plain, who.name, email=email)}


def _purpose(policy: Policy, purpose: Purpose, texts: Texts, language: str) -> dict[str, Any]:
    say = texts.gettext
    consent = say(
        language,
        "Your consent (GDPR, article 6(1)(a)). You can take it back at any time; what was done before stays lawful.",
    )
    customer = say(
        language,
        "You are our customer: we may write to you about similar products of our own (GDPR, article 6(1)(f), and the "
        "ePrivacy rules for customers). You can object at any time.",
    )
    soft = purpose.basis is LegalBasis.SOFT_OPT_IN
    item = _item(
        purpose.name.get(language, ""),
        purpose.description.get(language, ""),
        often=[say(language, "How often"), purpose.frequency.get(language, "")],
        ground=[say(language, "Legal ground"), customer if soft else consent],
    )
    if purpose.offered_to_children:
        young = say(
            language, "Younger than %(age)s: only when a parent or guardian says yes too.", age=policy.age.years
        )
        item["facts"]["children"] = [say(language, "Children"), young]
    sold = any(channel.sale and purpose.id in channel.purposes for channel in policy.channels.values())
    if soft or (policy.soft_opt_in and sold):
        item["facts"]["interest"] = [say(language, "Our interest"), policy.statement.interest.get(language, "")]
    if purpose.recipients:
        item["facts"]["recipients"] = [say(language, "Also received by"), ", ".join(purpose.recipients)]
    return item


def _duties(policy: Policy, texts: Texts, language: str) -> dict[str, Any]:
    say = texts.gettext
    found = {
        "proof": _item(
            say(language, "The proof of your choices"),
            say(
                language,
                "When, where and to which words you said yes or no: we must be able to show it (GDPR, articles 5(2) "
                "and 7(1)).",
            ),
        ),
        "stop_list": _item(
            say(language, "A fingerprint of your address, after a stop or an erasure"),
            say(
                language,
                "So that a stop stays a stop, also when a list with your address comes to us again: we keep a coded "
                "fingerprint, not the address itself. It is our legitimate interest, and yours, that your no is heard "
                "(GDPR, articles 6(1)(f) and 21(3)).",
            ),
        ),
        "requests": _item(
            say(language, "What you ask of us about your data"),
            say(language, "We must answer, and show that we did (GDPR, articles 12 to 22)."),
        ),
    }
    if policy.for_children:
        found["age"] = _item(
            say(language, "Whether you are old enough to decide alone"),
            say(
                language,
                "For what is offered to children the form asks whether you are at least %(age)s. We keep only that yes "
                "or no, never a birth date. Below %(age)s we ask a parent or guardian as well, by mail (GDPR, article "
                "8). When their yes ends, we ask you yourself.",
                age=policy.age.years,
            ),
        )
    if policy.evidence_ip:
        found["network"] = _item(
            say(language, "The network address of your yes"),
            say(language, "As part of the proof, for as long as the proof (GDPR, article 7(1))."),
        )
    return found


def _data(policy: Policy, texts: Texts, language: str) -> dict[str, Any]:
    say = texts.gettext
    found = {
        "address": _item("", say(language, "your e-mail address")),
        "language": _item("", say(language, "the language in which we write to you")),
        "choices": _item("", say(language, "your choices: what you want to receive and what not")),
        "proof": _item("", say(language, "the proof of each choice: when, where, and which words you saw")),
        "cookie": _item(
            "",
            say(
                language,
                "when you send our form: a random number in your browser (a cookie) for at most %(span)s, so that the "
                "link in our mail is enough to confirm. It is needed for that, used for nothing else, and no other "
                "site can read it",
                span=texts.length(language, policy.limits_.pending_ttl),
            ),
        ),
    }
    if policy.for_children:
        age = policy.age.years
        told = say(language, "where a form asks it: whether you are at least %(age)s, and a guardian's yes", age=age)
        found["age"] = _item("", told)
    for field in policy.fields.values():
        found[field.id] = _item("", field.label.get(language, ""))
    return found


def _sources(policy: Policy, texts: Texts, language: str) -> dict[str, Any]:
    say = texts.gettext
    found = {
        "yourself": _item(
            "",
            say(
                language,
                "From yourself: what you filled in, chose and pressed. Our mailing service tells us when a mail could "
                "not be delivered, or when you complain of it there.",
            ),
        )
    }
    if policy.for_children:
        found["guardian"] = _item(
            "",
            say(
                language,
                "The e-mail address of a parent or guardian: from the child who asks for something. We send one mail "
                "that asks for their yes, and use it for nothing else; when that mail has left, it is gone here.",
            ),
        )
    for channel in policy.channels.values():
        if channel.source:
            text = say(
                language,
                "Your e-mail address and language may come from %(name)s (%(contact)s), if you gave them there. Who "
                "did not say yes to us is not mailed, and is deleted within a month.",
                name=channel.source.name,
                contact=channel.source.contact,
            )
            found[channel.id] = _item(channel.source.name, text)
    return found


def _required(texts: Texts, language: str) -> str:
    return texts.gettext(
        language,
        "No law and no contract asks it of you. Without an e-mail address we cannot send you what you ask for; nothing "
        "else follows.",
    )


def _recipients(policy: Policy, texts: Texts, language: str) -> dict[str, Any]:
    say = texts.gettext
    found = {}
    for party in told_of(policy):
        role = {
            "processor": say(language, "works for us, under contract, for this and nothing else"),
            "controller": say(language, "decides itself what it does with it; ask it for its own statement"),
            "joint": say(language, "decides with us; you can turn to either of us"),
        }[party.role]
        service = party.service_text.get(language) or party.service
        found[party.key] = _item(
            party.name, f"{service}; {role}", country=[say(language, "Country"), texts.country(language, party.country)]
        )
    if not found:
        found["nobody"] = _item("", say(language, "Nobody: we do everything ourselves."))
    return found


def _transfers(policy: Policy, texts: Texts, language: str) -> dict[str, Any]:
    say = texts.gettext
    found = {}
    for party in told_of(policy):
        if party.abroad:
            found[party.key] = _item(
                party.name,
                texts.country(language, party.country),
                tool=[say(language, "Legal tool"), party.transfer_tool],
                safeguard=[say(language, "What protects your data there"), party.safeguard.get(language, "")],
            )
    return found or {"none": _item("", say(language, "No data leaves for countries without adequate protection."))}


def _retention(policy: Policy, texts: Texts, language: str) -> dict[str, Any]:
    say, kept, limits = texts.gettext, policy.retention, policy.limits_
    spans = {
        "pending": (say(language, "A request that is not confirmed"), limits.pending_ttl),
        "consent": (say(language, "Your yes, before we ask again"), limits.consent_max_age),
        "profile": (say(language, "What you filled in, after you left"), kept.profile),
        "evidence": (
            say(language, "The proof of your choices with your address, sealed and for nothing else, after you left"),
            kept.evidence,
        ),
        "stop_list": (
            say(
                language,
                "A fingerprint of your address, so that a stop stays a stop: as long as we mail anybody, and at least",
            ),
            kept.stop_list,
        ),
        "bounced": (say(language, "An address that no longer exists"), kept.bounced),
        "requests": (say(language, "What you asked of us about your data"), kept.request_files),
        "backups": (say(language, "A copy in our backups, after it is gone here"), kept.backups),
    }
    if policy.for_children:
        spans["guardian"] = (
            say(language, "The yes of a parent or guardian who does not say how long it counts"),
            limits.guardian_lasts,
        )
    return {key: _item(what, texts.length(language, span)) for key, (what, span) in spans.items()}


def _rights(texts: Texts, language: str) -> dict[str, Any]:
    say = texts.gettext
    told = {
        "access": say(language, "See what we keep about you (GDPR, article 15)."),
        "rectify": say(language, "Have it put right (article 16)."),
        "erase": say(language, "Have it erased (article 17)."),
        "restrict": say(language, "Have it kept but not used, while something is in dispute (article 18)."),
        "port": say(language, "Have a copy to take with you, also in a form for machines (article 20)."),
        "object": say(language, "Object to our use of your address for marketing; we then stop for good (article 21)."),
    }
    return {key: _item("", text) for key, text in told.items()}


def _withdrawal(texts: Texts, language: str) -> str:
    return texts.gettext(
        language,
        "Stop at any time: with the link in every mail, or on your preference page. It costs nothing and needs no "
        "reason. What was sent before stays lawful.",
    )


def _complaint(policy: Policy, texts: Texts, language: str) -> dict[str, Any]:
    where, say = policy.statement.authority, texts.gettext
    text = say(
        language,
        "If you think we do not follow the law, you can complain to the data protection authority of the country where "
        "you live or work.",
    )
    if where is None:
        return {"complaint": _item("", text)}
    return {
        "complaint": _item(
            where.name,
            text,
            address=[say(language, "Address"), where.address],
            website=[say(language, "Website"), where.website],
        )
    }


def _automated(policy: Policy, texts: Texts, language: str) -> str:
    none = texts.gettext(language, "None: no machine decides anything about you, and no profile of you is made.")
    return policy.statement.automated.get(language) or none
