"""The words of the Data Privacy Vocabulary 2.3 that receipts may use, and a small reader of JSON-LD that fetches nothing."""

from collections.abc import Iterator, Mapping
from typing import Any

NAMESPACES = {
    "dpv": "https://w3id.org/dpv#",
    "pd": "https://w3id.org/dpv/pd#",
    "loc": "https://w3id.org/dpv/loc#",
    "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
    "legal-eu": "https://w3id.org/dpv/legal/eu#",
    "legal-be": "https://w3id.org/dpv/legal/be#",
}

#: Those of the published example, checked against the vocabulary, and those that the table of states and rights names.
#: Never in it: `ConsentTerminated` and `eu-gdpr:GDPR`, which a public guide has and the vocabulary has not.
TERMS = frozenset(
    """
    dpv:Collect dpv:ConsentGiven dpv:ConsentNotice dpv:ConsentReceipt dpv:ConsentRecord dpv:ConsentRequested
    dpv:DataController dpv:DataImporter dpv:DataProcessor dpv:DataProtectionOfficer dpv:DataSubject
    dpv:DataSubjectDataSource dpv:DataSubjectRight dpv:DirectMarketing dpv:ExpressedConsent dpv:LegalEntity dpv:Optional
    dpv:PersonalData dpv:Process dpv:ProvideConsent dpv:Purpose dpv:Required dpv:StorageDeletion dpv:StorageDuration
    dpv:StorageLocation dpv:Store dpv:Subscriber dpv:Use dpv:WithdrawConsent dpv:hasAddress dpv:hasApplicableLaw
    dpv:hasAuthority dpv:hasConsentControl dpv:hasConsentStatus dpv:hasContact dpv:hasDataController
    dpv:hasDataProcessor dpv:hasDataProtectionOfficer dpv:hasDataSource dpv:hasDataSubject dpv:hasDuration dpv:hasEntity
    dpv:hasIdentifier dpv:hasIndicationMethod dpv:hasJurisdiction dpv:hasLegalBasis dpv:hasLocation dpv:hasName
    dpv:hasNecessity dpv:hasNotice dpv:hasPersonalData dpv:hasProcess dpv:hasProcessing dpv:hasPurpose dpv:hasRecipient
    dpv:hasRecordOfActivity dpv:hasRight dpv:hasStorageCondition dpv:isExercisedAt dpv:isImplementedByEntity
    dpv:isIndicatedAtTime dpv:isIndicatedBy eu-gdpr:A15 eu-gdpr:A17 eu-gdpr:A21 eu-gdpr:A45-3 eu-gdpr:A6-1-a
    eu-gdpr:A7-3 eu-gdpr:A77 legal-be:DPA-BE legal-eu:law-GDPR loc:BE loc:EU loc:US pd:EmailAddress pd:Language
    dpv:ConsentExpired dpv:ConsentInvalidated dpv:ConsentRefused dpv:ConsentRevoked dpv:ConsentUnknown
    dpv:ConsentWithdrawn dpv:RenewedConsentGiven dpv:SensitivePersonalData dpv:SpecialCategoryPersonalData
    dpv:hasAssessment dpv:hasOrganisationalMeasure dpv:hasRule dpv:hasService
    eu-gdpr:A16 eu-gdpr:A18 eu-gdpr:A19 eu-gdpr:A20
    """.split()  # noqa: SIM905  (eighty quoted words are harder to read)
)

#: Documents, not terms.
SCHEMAS = {f"https://w3id.org/dpv/schema/dpv-27560#{kind}-eu-gdpr" for kind in ("record", "receipt")}

IRIS = frozenset(NAMESPACES[term.partition(":")[0]] + term.partition(":")[2] for term in TERMS) | SCHEMAS


def expand(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document with whole names: `name:thing` becomes an address where a property or its context makes it one.

    What the context does not name is refused, which JSON-LD would drop in silence.
    """
    context = document["@context"]

    def whole(name: str) -> str:
        return _whole(context, name)

    def value(kind: str, told: Any) -> Any:
        if isinstance(told, list):
            return [value(kind, each) for each in told]
        if isinstance(told, dict):
            return node(told)
        return {"@id": whole(told)} if kind == "@id" else {"@value": told} | ({"@type": whole(kind)} if kind else {})

    def node(told: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, each in told.items():
            if name == "@context":
                continue
            if name == "@id":
                found[name] = whole(each)
            elif name == "@type":
                found[name] = [whole(one) for one in (each if isinstance(each, list) else [each])]
            else:
                kind = context.get(name, {})
                found[whole(name)] = value(kind.get("@type", "") if isinstance(kind, dict) else "", each)
        return found

    return node(document)


def _whole(context: Mapping[str, Any], name: str) -> str:
    prefix, colon, rest = name.partition(":")
    if not colon:
        raise ValueError(f"{name} means nothing")
    if rest.startswith("//") or prefix == "urn":
        return name
    if not isinstance(context.get(prefix), str):
        raise ValueError(f"{prefix} is not in the context")
    return str(context[prefix]) + rest


def addresses(expanded: Any) -> Iterator[str]:
    """Every whole name in an expanded document: properties, classes and things."""
    if isinstance(expanded, list):
        for each in expanded:
            yield from addresses(each)
    elif isinstance(expanded, dict):
        for name, each in expanded.items():
            if name == "@id":
                yield each
            elif name == "@type":
                yield from each if isinstance(each, list) else [each]
            elif name != "@value":
                yield name
                yield from addresses(each)


def texts(expanded: Any) -> Iterator[str]:
    """Every plain text in it."""
    if isinstance(expanded, list):
        for each in expanded:
            yield from texts(each)
    elif isinstance(expanded, dict):
        if "@value" in expanded and "@type" not in expanded:
            yield str(expanded["@value"])
        for name, each in expanded.items():
            if name not in ("@id", "@type", "@value"):
                yield from texts(each)
