"""Third parties that get data, with their contracts (GDPR 28, 44 to 46), and whether anything may go to one today."""

from collections.abc import Iterator
from datetime import date
from enum import StrEnum
from typing import ClassVar, Literal

import msgspec

from bridge.policy.countries import is_third_country

#: What a contract with a processor must hold, by the letters of GDPR 28(3).
CLAUSES = {
    "a": "only on documented instructions, also for transfers",
    "b": "its people are bound to confidentiality",
    "c": "security of article 32",
    "d": "rules for engaging another processor",
    "e": "help with what people ask",
    "f": "help with security, breaches and impact assessments",
    "g": "deletes or gives back everything at the end",
    "h": "shows its compliance and allows audits",
}


class Strangers(StrEnum):
    """What is done about members of a platform of whom nothing is known here (ESP-01)."""

    REPORT = "report"
    UNSUBSCRIBE = "unsubscribe"


class Gate(StrEnum):
    """What the softer gaps of an entry do: hold everything new back, or only be named (REG-02)."""

    BLOCK = "block"
    WARN = "warn"


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One block of the policy file."""


class SubProcessor(_Entry, frozen=True, kw_only=True):
    """Whom a processor passes data on to (GDPR 28(2), (4))."""

    name: str
    service: str
    country: str
    region: str = ""
    since: date | None = None
    transfer_tool: str = ""


class Processor(_Entry, frozen=True, kw_only=True):
    """A third party that gets data: a platform behind an adapter, or any other, such as a CRM or an HR tool."""

    #: What an entry may be named by; one of them.
    KEYS: ClassVar[tuple[str, ...]] = ("adapter", "id")

    adapter: str = ""
    id: str = ""
    name: str
    role: Literal["processor", "controller", "joint"] = "processor"
    service: str
    service_text: dict[str, str] = {}  # the same by language, for the privacy statement
    data: tuple[str, ...] = ()  # what it gets, where no adapter says so
    purposes: tuple[str, ...] = ()  # what for, where no purpose lives there
    address: str = ""  # by post, for receipts
    contact: str = ""  # an e-mail address for questions about data, for receipts
    country: str
    region: str = ""  # where it keeps the data, where that can be chosen
    contract: date | None = None
    contract_version: str = ""
    contract_file: str = ""  # where the signed paper lies
    clauses: tuple[str, ...] = ()  # the letters of 28(3) that the contract was found to hold
    sub_processors: dict[str, SubProcessor] = {}
    sub_processors_as_of: date | None = None  # the date of their list
    transfer_tool: str = ""
    transfer_assessed: date | None = None
    safeguard: dict[str, str] = {}  # for the privacy statement: what protects the data there, and how to have a copy
    security: str = ""  # evidence: certificates, reports, questionnaires
    breach_contact: str = ""
    deletion_proof: str = ""  # what shows on exit that everything was deleted
    owner: str = ""
    last_review: date | None = None
    review_by: date | None = None
    status: Literal["active", "planned", "ended"] = "active"
    to_check: bool = False  # written by us as an example; nobody of the operator's has looked at it yet
    strangers: Strangers = Strangers.REPORT

    @property
    def key(self) -> str:
        """What it is called in the policy."""
        return self.adapter or self.id

    @property
    def abroad(self) -> bool:
        """Its data leaves the EEA and the countries that the Commission found adequate."""
        return is_third_country(self.country)

    @property
    def told(self) -> bool:
        """It gets data today as far as the policy says: readers are told of it."""
        return self.status == "active" and not self.to_check


class Weight(StrEnum):
    """What a flaw of an entry does."""

    REFUSED = "refused"  # nothing new goes there
    SOFT = "soft"  # ... unless the policy lets it pass
    NAMED = "named"  # it stands in the register


class Flaw(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an entry lacks: which key, which rule, what to do."""

    key: str
    row: str
    fix: str
    weight: Weight = Weight.REFUSED
    due: date | None = None  # of what is overdue


def flaws(party: Processor, today: date) -> Iterator[Flaw]:
    """Why nothing may go to this third party today, the gravest first (REG-02, REG-03)."""
    name = party.key
    if party.to_check:
        fix = f"the entry of {name} is an example of ours, to be checked by you: check each line, then remove to_check"
        yield Flaw(key="to_check", row="REG-02", fix=fix)
    if party.status != "active":
        yield Flaw(key="status", row="REG-02", fix=f'{name} is "{party.status}": set status = "active" to use it')
    yield from _unsigned(party, today)
    yield from _transfer(party, today)
    yield from _soft(party, today)


def _unsigned(party: Processor, today: date) -> Iterator[Flaw]:
    if party.contract is None:
        fix = f"no contract: write the day on which the one with {party.key} was signed (contract)"
        yield Flaw(key="contract", row="REG-02", fix=fix)
    elif party.contract > today:
        fix = f"the contract with {party.key} starts only on {party.contract}"
        yield Flaw(key="contract", row="REG-02", fix=fix)


def _transfer(party: Processor, today: date) -> Iterator[Flaw]:
    if party.abroad and not party.transfer_tool.strip():
        fix = f"{party.country} is outside the EEA and no transfer tool is named for {party.key} (transfer_tool)"
        yield Flaw(key="transfer_tool", row="REG-03", fix=fix)
    if party.abroad and party.transfer_assessed is None:
        fix = f"the transfer to {party.key} was never assessed (transfer_assessed)"
        yield Flaw(key="transfer_assessed", row="REG-03", fix=fix)
    if party.transfer_assessed is not None and party.transfer_assessed > today:
        fix = f"the transfer to {party.key} is assessed only on {party.transfer_assessed}"
        yield Flaw(key="transfer_assessed", row="REG-03", fix=fix)


def _soft(party: Processor, today: date) -> Iterator[Flaw]:
    if party.review_by is None:
        fix = f"no day is set for the next review of {party.key} (review_by)"
        yield Flaw(key="review_by", row="REG-02", fix=fix, weight=Weight.SOFT)
    elif party.review_by < today:
        fix = f"the review of {party.key} was due on {party.review_by}: review it, then move review_by"
        yield Flaw(key="review_by", row="REG-02", fix=fix, weight=Weight.SOFT, due=party.review_by)
    lacking = [letter for letter in CLAUSES if letter not in party.clauses]
    if party.role == "processor" and party.clauses and lacking:
        fix = f"the contract with {party.key} lacks 28(3) {_letters(lacking)}: have it completed, then tick them"
        yield Flaw(key="clauses", row="REG-02", fix=fix, weight=Weight.SOFT)


def incomplete(party: Processor) -> Iterator[Flaw]:
    """What the register does not say of this third party yet. Holds nothing back."""
    wanted = {
        "contract_version": "the version of the contract",
        "contract_file": "where the signed contract lies",
        "security": "the evidence of its security (certificate, report)",
        "breach_contact": "whom to call at a breach",
        "deletion_proof": "what shows on exit that everything was deleted",
        "owner": "who of yours looks after it",
    }
    for key, words in wanted.items():
        if not getattr(party, key).strip():
            yield Flaw(key=key, row="REG-02", fix=f"write down {words} ({key})", weight=Weight.NAMED)
    if party.role == "processor" and not party.clauses:
        fix = 'go through 28(3)(a) to (h) in the contract and tick what it holds: clauses = ["a", "b", ...]'
        yield Flaw(key="clauses", row="REG-02", fix=fix, weight=Weight.NAMED)
    if party.role == "processor" and party.sub_processors_as_of is None:
        fix = (
            "copy its list of sub-processors ([[processors.sub_processors]]) and write its date (sub_processors_as_of)"
        )
        yield Flaw(key="sub_processors_as_of", row="REG-04", fix=fix, weight=Weight.NAMED)
    for other in party.sub_processors.values():
        if is_third_country(other.country) and not other.transfer_tool.strip():
            fix = f"{other.name} is in {other.country}: name the tool by which data goes there (transfer_tool)"
            yield Flaw(key=f"sub_processors.{other.name}", row="REG-03", fix=fix, weight=Weight.NAMED)
    if not party.adapter and not party.data:
        fix = 'write which data it gets: data = ["name", "address"]'
        yield Flaw(key="data", row="REG-02", fix=fix, weight=Weight.NAMED)


def _letters(letters: list[str]) -> str:
    return ", ".join(f"({letter})" for letter in letters)
