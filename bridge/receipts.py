"""Receipts for each yes and for each time one ended (CON-07), as data that machines read: ISO/IEC TS 27560 in the words
of DPV 2.3 (JSON-LD), or Kantara 1.1; signed with the seal key, and made anew whenever somebody asks: none is kept.

`of` is for whoever has a person's story: mails, `evidence`, her own pages. A receipt holds no address of hers but where
she asks for one. Soft opt-in is no consent and has no receipt.
"""

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

from bridge.decide import STOPS, concerns, standing
from bridge.policy import Policy
from bridge.policy.countries import EEA
from bridge.policy.shapes import Span
from bridge.seals import Seals
from bridge.verifier import PROOF
from bridge.vocabulary import EVERY_PURPOSE, READER, ConsentEvent, EventType, Method, Status, micros, rfc3339

#: What each status is called in DPV 2.3; None: no consent, and so no receipt.
TERMS: Mapping[Status, str | None] = {
    Status.UNKNOWN: "dpv:ConsentUnknown",
    Status.REQUESTED: "dpv:ConsentRequested",
    Status.GIVEN: "dpv:ConsentGiven",
    Status.SOFT_OPT_IN: None,
    Status.REFUSED: "dpv:ConsentRefused",
    Status.WITHDRAWN: "dpv:ConsentWithdrawn",
    Status.OBJECTED: "dpv:ConsentWithdrawn",
    Status.EXPIRED: "dpv:ConsentExpired",
    Status.REVOKED: "dpv:ConsentRevoked",
    Status.INVALIDATED: "dpv:ConsentInvalidated",
}
RENEWED = "dpv:RenewedConsentGiven"

_HOW = {
    Method.FORM: "unticked box ticked on web form",
    Method.CONFIRM_PAGE: "button pressed on confirmation page reached from mailed link",
    Method.PREFERENCE_PAGE: "choice saved on preference page reached from freshly mailed link",
    Method.PREFERENCE_LINK: "choice saved on preference page reached from a mail",
    Method.ONE_CLICK: "one-click unsubscribe in the mail program (RFC 8058)",
    Method.UNSUBSCRIBE_PAGE: "button pressed on unsubscribe page",
    Method.IMPORT: "told by a list of the controller",
    Method.STAFF: "letter or telephone, written down by staff",
    Method.WEBHOOK: "told by the mailing platform",
    Method.RECONCILE: "found at the mailing platform",
    Method.CLOCK: "a time limit was reached",
    Method.STOP_LIST: "known as a coded entry",
}

_DPV = "https://w3id.org/dpv"
_ME, _ID, _TIME = "urn:cb:party:controller", {"@type": "@id"}, {"@type": "xsd:dateTime"}
_LINKS = (
    *("dct:conformsTo", "dct:publisher", "skos:broader", "schema:recipient", "schema:url", "dpv:hasRecordOfActivity"),
    *("dpv:hasDataController", "dpv:hasDataProcessor", "dpv:hasRecipient", "dpv:hasAuthority", "dpv:hasApplicableLaw"),
    *("dpv:hasJurisdiction", "dpv:hasLegalBasis", "dpv:hasNecessity", "dpv:hasProcessing", "dpv:hasDataSource"),
    *("dpv:hasLocation", "dpv:isExercisedAt", "dpv:isIndicatedBy", "dpv:isImplementedByEntity"),
)
#: Values that are short names of things need their type, or they stay plain text. Nothing is fetched to read it.
CONTEXT: Mapping[str, Any] = {
    "dpv": f"{_DPV}#",
    "pd": f"{_DPV}/pd#",
    "loc": f"{_DPV}/loc#",
    "eu-gdpr": f"{_DPV}/legal/eu/gdpr#",
    "legal-eu": f"{_DPV}/legal/eu#",
    "legal-be": f"{_DPV}/legal/be#",
    "dct": "http://purl.org/dc/terms/",
    "schema": "https://schema.org/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "cb": "urn:cb:ns:",
    **dict.fromkeys(_LINKS, _ID),
    "dct:created": _TIME,
    "dpv:isIndicatedAtTime": _TIME,
    "dpv:hasDuration": {"@type": "xsd:duration"},
}
#: Authorities that DPV 2.3 has a word for, as far as we checked.
_AUTHORITIES = {"BE": "legal-be:DPA-BE"}
_RIGHTS = ("A7-3", "A15", "A16", "A17", "A18", "A20", "A21", "A77")


class Act(NamedTuple):
    """A yes, or what ended one: `number` is the event's in her chain, `given` the yes that is meant."""

    purpose: str
    number: int
    event: ConsentEvent
    given: ConsentEvent
    status: Status
    renewed: bool


class Issuer(NamedTuple):
    """Who gives receipts: the policy, where the readers' pages are, and the keys that sign."""

    policy: Policy
    base_url: str
    seals: Seals


def acts(story: Sequence[ConsentEvent], purposes: Collection[str] | None = None) -> list[Act]:
    """Each yes of hers and each end of one, in the order of her chain; `purposes` None = all."""
    found = []
    named = dict.fromkeys(event.purpose for event in story if event.purpose != EVERY_PURPOSE)
    for purpose in named if purposes is None else [name for name in named if name in purposes]:
        before = standing((), purpose)
        for number, event in enumerate(story, start=1):
            if not concerns(event, purpose) or (event.type is not EventType.GIVEN and event.type not in STOPS):
                continue
            after = standing(story[:number], purpose)
            if after.status is Status.GIVEN and after.by is not None and after.by.key == event.key:
                found.append(Act(purpose, number, event, event, after.status, before.status is Status.GIVEN))
            elif before.status is Status.GIVEN and before.by is not None and after.status is not Status.GIVEN:
                found.append(Act(purpose, number, event, before.by, after.status, renewed=False))
            before = after
    return sorted(found, key=lambda act: (act.number, act.purpose))


def of(
    issuer: Issuer,
    subject: str,
    story: Sequence[ConsentEvent],
    *,
    language: str,
    now: datetime,
    purposes: Collection[str] | None = None,
    only: Sequence[Act] | None = None,
    address: str = "",
) -> list[dict[str, Any]]:
    """Her signed receipts, one for each yes and each end of one, oldest first; none where no seal key is set.

    `story` is all that happened to her, with evidence (`Store.story`); `only` some of its `acts`; `address` only for
    the long form, which she asks for herself. The same at the same moment, to the last byte.
    """
    if not issuer.seals:
        return []
    known = issuer.policy.purposes
    spoken = language if language in issuer.policy.languages else issuer.policy.languages[0]
    return [
        issuer.seals.sign_receipt(_receipt(issuer, subject, story, act, language=spoken, now=now, address=address))
        for act in (acts(story, purposes) if only is None else only)
        if act.purpose in known
    ]


def about(receipt: Mapping[str, Any]) -> tuple[str, str, int]:
    """Of a receipt of ours: the person's id, the purpose, and the number of the event it is for. KeyError, ValueError
    and the like where it is none."""
    record = receipt["dpv:hasRecordOfActivity"]
    subject = record["dpv:hasDataSubject"]["dct:identifier"]
    purpose = record["dpv:hasProcess"][0]["@id"].removeprefix("urn:cb:purpose:")
    return str(subject), str(purpose), int(record["dpv:hasConsentStatus"][-1]["cb:evidence"].rpartition("/")[2])


def _receipt(
    issuer: Issuer,
    subject: str,
    story: Sequence[ConsentEvent],
    act: Act,
    *,
    language: str,
    now: datetime,
    address: str,
) -> dict[str, Any]:
    policy, base_url = issuer.policy, issuer.base_url
    record_id = _uuid(subject, act.purpose, act.given.key)
    receipt_id = _uuid(record_id, act.event.key, str(micros(now)), address)
    return {
        "@context": CONTEXT,
        "@id": f"urn:uuid:{receipt_id}",
        "@type": "dpv:ConsentReceipt",
        "dct:identifier": receipt_id,
        "dct:conformsTo": f"{_DPV}/schema/dpv-27560#receipt-eu-gdpr",
        "dct:created": rfc3339(now),
        "dct:publisher": _ME,
        "schema:recipient": "dpv:DataSubject",
        "dpv:hasRecordOfActivity": {
            "@id": f"urn:uuid:{record_id}",
            "@type": "dpv:ConsentRecord",
            "dct:identifier": record_id,
            "dct:conformsTo": f"{_DPV}/schema/dpv-27560#record-eu-gdpr",
            "dpv:hasDataSubject": _person(subject, address),
            "dpv:hasDataController": _ME,
            **_many("dpv:hasDataProcessor", [_party(name) for name in _senders(policy, act.purpose)]),
            **_many("dpv:hasAuthority", [_AUTHORITIES[policy.country]] if policy.country in _AUTHORITIES else []),
            **_many("dpv:hasApplicableLaw", ["legal-eu:law-GDPR"] if policy.country in EEA else []),
            "dpv:hasJurisdiction": _jurisdiction(policy.country),
            "dpv:hasNotice": _notice(base_url, act),
            "dpv:hasProcess": [_process(policy, act.purpose, language)],
            "dpv:hasConsentControl": {
                "@type": ["dpv:WithdrawConsent", "dpv:ProvideConsent"],
                "dpv:isExercisedAt": f"{base_url}/preferences",
            },
            "dpv:hasRight": [
                {
                    "@type": ["dpv:DataSubjectRight", f"eu-gdpr:{right}"],
                    "dpv:isExercisedAt": f"{base_url}/{'privacy' if right == 'A77' else 'preferences'}",
                }
                for right in _RIGHTS
            ],
            "dpv:hasConsentStatus": list(_states(policy, subject, story, act)),
            "dpv:hasEntity": [_controller(policy), *_processors(policy, act.purpose)],
        },
    }


def _person(subject: str, address: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "@id": f"urn:cb:subject:{subject}",
        "@type": ["dpv:DataSubject", "dpv:Subscriber"],
        "dct:identifier": subject,
    }
    return told | ({"schema:email": address} if address else {})


def _notice(base_url: str, act: Act) -> dict[str, Any]:
    """The words that were agreed to; where a list or no words stand behind a yes, the statement."""
    given, proof = act.given, act.given.evidence
    if not proof.wording or given.notice is None:
        return {"@id": f"{base_url}/privacy", "@type": "dpv:ConsentNotice", "dct:language": proof.language or "und"}
    return {
        "@id": f"{base_url}/notices/{act.purpose}/{given.notice}/{proof.language}",
        "@type": "dpv:ConsentNotice",
        "dct:language": proof.language or "und",
        "dct:date": rfc3339(given.asked or given.time)[:10],
        "cb:sha256": proof.wording,
    }


def _process(policy: Policy, purpose: str, language: str) -> dict[str, Any]:
    declared = policy.purposes[purpose]
    fields = [
        {
            "@type": "dpv:PersonalData",
            "dct:description": field.label[language],
            "dpv:hasNecessity": "dpv:Optional",
        }
        for field in policy.fields.values()
        if purpose in field.purposes
    ]
    places = dict.fromkeys([policy.country, *(one.country for one in _senders(policy, purpose).values())])
    return {
        "@id": f"urn:cb:purpose:{purpose}",
        "@type": "dpv:Process",
        "dpv:hasPurpose": {
            "@type": "dpv:Purpose",
            "skos:broader": "dpv:DirectMarketing",
            "dct:title": declared.name[language],
            "dct:description": declared.description[language],
        },
        "dpv:hasPersonalData": [
            {"@type": "dpv:PersonalData", "skos:broader": "pd:EmailAddress", "dpv:hasNecessity": "dpv:Required"},
            {"@type": "dpv:PersonalData", "skos:broader": "pd:Language", "dpv:hasNecessity": "dpv:Optional"},
            *fields,
        ],
        "dpv:hasProcessing": ["dpv:Collect", "dpv:Store", "dpv:Use"],
        "dpv:hasDataSource": "dpv:DataSubjectDataSource",
        "dpv:hasLegalBasis": "eu-gdpr:A6-1-a",
        "dpv:hasStorageCondition": [
            {"@type": "dpv:StorageLocation", "dpv:hasLocation": [f"loc:{place}" for place in places]},
            {"@type": "dpv:StorageDuration", "dpv:hasDuration": _iso(policy.limits_.consent_max_age)},
            {"@type": "dpv:StorageDeletion", "dpv:hasDuration": _iso(policy.retention.profile)},
        ],
        "dpv:hasRecipient": [_ME, *(_party(name) for name in _senders(policy, purpose))],
    }


def _states(policy: Policy, subject: str, story: Sequence[ConsentEvent], act: Act) -> Iterator[dict[str, Any]]:
    """Where she stood for this purpose, one after the other, up to this act."""
    before = standing((), act.purpose)
    for number, event in enumerate(story[: act.number], start=1):
        if not concerns(event, act.purpose):
            continue
        after = standing(story[:number], act.purpose)
        mine = after.by is not None and after.by.key == event.key
        listed = event.type is EventType.IMPORTED and after.status is Status.UNKNOWN
        term = TERMS[after.status] if mine or listed or number == act.number else None
        if term and after.status is Status.GIVEN and before.status is Status.GIVEN:
            term = RENEWED
        if term:
            yield _state(policy, event, f"{subject}/{number}", term, after.status)
        before = after


def _state(policy: Policy, event: ConsentEvent, name: str, term: str, status: Status) -> dict[str, Any]:
    """One of them. `name` is what `verify` calls the event: the person's id and its number."""
    told: dict[str, Any] = {
        "@type": [term, "dpv:ExpressedConsent"] if status in (Status.REQUESTED, Status.GIVEN) else [term],
        "dpv:isIndicatedBy": f"urn:cb:subject:{event.subject}" if event.source == READER else _ME,
        "dpv:isIndicatedAtTime": rfc3339(event.time),
        "dpv:hasIndicationMethod": _HOW[event.method],
        "cb:evidence": name,
    }
    if status is Status.REQUESTED:
        told["dpv:hasDuration"] = _iso(policy.limits_.pending_ttl)
    if status is Status.GIVEN:
        told["dpv:hasDuration"] = _iso(policy.limits_.consent_max_age)
    return told


def _controller(policy: Policy) -> dict[str, Any]:
    mine, contact = policy.controller, policy.contact
    told: dict[str, Any] = {
        "@id": _ME,
        "@type": ["dpv:LegalEntity", "dpv:DataController"],
        "dpv:hasIdentifier": _ME,
        "dpv:hasName": mine.name,
        "dpv:hasAddress": mine.address,
        "dpv:hasContact": contact.email,
        "schema:url": mine.website,
    }
    if policy.dpo:
        told["dpv:hasDataProtectionOfficer"] = {
            "@type": "dpv:DataProtectionOfficer",
            "dpv:hasName": policy.dpo.name,
            "dpv:hasContact": policy.dpo.email,
        }
    return told


def _processors(policy: Policy, purpose: str) -> Iterator[dict[str, Any]]:
    for name, one in _senders(policy, purpose).items():
        told: dict[str, Any] = {
            "@id": _party(name),
            "@type": ["dpv:LegalEntity", "dpv:DataProcessor"],
            "dpv:hasIdentifier": _party(name),
            "dpv:hasName": one.name,
            "dpv:hasAddress": one.address or one.country,
            "dpv:hasContact": one.contact or policy.contact.email,  # else questions about them are the controller's
        }
        if one.country not in EEA:
            told["@type"].append("dpv:DataImporter")
        if one.transfer_tool:
            told["cb:transferTool"] = one.transfer_tool
        yield told


def _senders(policy: Policy, purpose: str) -> dict[str, Any]:
    """The processors that send for a purpose, by name."""
    return {name: policy.processors[name] for name in policy.purposes[purpose].at if name in policy.processors}


def _party(name: str) -> str:
    return f"urn:cb:party:{name}"


def _many(name: str, values: Sequence[str]) -> dict[str, Any]:
    """A member with one value, or several, or none at all."""
    return {name: values[0] if len(values) == 1 else list(values)} if values else {}


def _jurisdiction(country: str) -> list[str]:
    union = country in EEA - {"IS", "LI", "NO"}
    return [f"loc:{country}", *(["loc:EU"] if union else [])]


def _iso(span: Span) -> str:
    """A length of time as ISO 8601 writes it."""
    return f"PT{span.count}H" if span.unit == "hours" else f"P{span.count}{span.unit[0].upper()}"


def _uuid(*parts: str) -> str:
    """A UUID in the form of version 4: its bits are a hash that begins with 128 random ones, the person's id, so that
    the same thing has the same name whenever it is told again."""
    return str(uuid.UUID(bytes=sha256("\n".join(parts).encode()).digest()[:16], version=4))


# -- Kantara ----------------------------------------------------------------------------------------------------


def kantara(issuer: Issuer, subject: str, story: Sequence[ConsentEvent], *, language: str) -> list[dict[str, Any]]:
    """The same yeses in the older form of Kantara Consent Receipt 1.1, signed. It knows no word for an end of one."""
    policy = issuer.policy
    spoken = language if language in policy.languages else policy.languages[0]
    return [
        issuer.seals.sign_receipt(_kantara(policy, issuer.base_url, subject, act, spoken))
        for act in acts(story)
        if issuer.seals and act.status is Status.GIVEN and act.purpose in policy.purposes
    ]


def _kantara(policy: Policy, base_url: str, subject: str, act: Act, language: str) -> dict[str, Any]:
    declared, mine = policy.purposes[act.purpose], policy.controller
    third = [one.name for one in _senders(policy, act.purpose).values()]
    return {
        "version": "KI-CR-v1.1.0",
        "jurisdiction": policy.country,
        "consentTimestamp": int(act.event.time.timestamp()),
        "collectionMethod": _HOW[act.event.method],
        "consentReceiptID": _uuid(subject, act.purpose, act.event.key, "kantara"),
        "language": act.given.evidence.language or language,
        "piiPrincipalId": subject,
        "piiControllers": [
            {
                "piiController": mine.name,
                "contact": policy.contact.name,
                "address": {"streetAddress": mine.address, "addressCountry": policy.country},
                "email": policy.contact.email,
                "phone": "",
                "piiControllerUrl": mine.website,
            }
        ],
        "policyUrl": f"{base_url}/privacy",
        "services": [
            {
                "service": declared.name[language],
                "purposes": [
                    {
                        "purpose": declared.description[language],
                        "purposeCategory": ["Direct Marketing"],
                        "consentType": "EXPLICIT",
                        "piiCategory": ["Contact", "Language"],
                        "primaryPurpose": True,
                        "termination": f"{base_url}/preferences",
                        "thirdPartyDisclosure": bool(third),
                        **({"thirdPartyName": ", ".join(third)} if third else {}),
                    }
                ],
            }
        ],
        "sensitive": False,
        "spiCat": [],
    }


__all__ = ["CONTEXT", "PROOF", "TERMS", "Act", "Issuer", "about", "acts", "kantara", "of"]
