"""What the operator's papers do not show yet: REG-02 to REG-05, CHN-01."""

import shutil
from datetime import date, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.policy import CLAUSES, Gap, Gate, Policy, Processor, gaps, load, processor_gaps

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
DEMO = load(TEMPLATES / "demo" / "policy.toml")
TODAY = date(2026, 11, 23)
WHOLE = DEMO.processors["mailchimp"]

#: Every key of an entry, emptied, with the row that asks for it and whether it holds the sync back by default.
EMPTIED = {
    "contract": (None, "REG-02", True),
    "contract_version": ("", "REG-02", False),
    "contract_file": ("", "REG-02", False),
    "clauses": ((), "REG-02", False),
    "sub_processors_as_of": (None, "REG-04", False),
    "transfer_tool": ("", "REG-03", True),
    "transfer_assessed": (None, "REG-03", True),
    "security": ("", "REG-02", False),
    "breach_contact": ("", "REG-02", False),
    "deletion_proof": ("", "REG-02", False),
    "owner": ("", "REG-02", False),
    "review_by": (None, "REG-02", True),
}


def having(party: Processor, policy: Policy = DEMO, **changes: object) -> Policy:
    """The policy with this entry, changed."""
    changed = msgspec.structs.replace(party, **changes)
    return msgspec.structs.replace(policy, processors={**policy.processors, changed.key: changed})


def told(policy: Policy, today: date = TODAY) -> dict[str, Gap]:
    return {gap.where: gap for gap in gaps(policy, today)}


def test_a_whole_policy_has_no_gap() -> None:
    """REG-02: the demo's papers are all there, so that what is named below is named for its own sake."""
    assert gaps(DEMO, TODAY) == []


@pytest.mark.parametrize("key", EMPTIED)
def test_reg_02_each_empty_line_of_an_entry_is_named(key: str) -> None:
    """REG-02, REG-03, REG-04: contract, clauses, sub-processors, transfer, evidence, contact, owner, review."""
    empty, row, blocks = EMPTIED[key]
    found = told(having(WHOLE, **{key: empty}))

    assert list(found) == [f"processors.mailchimp.{key}"]
    (gap,) = found.values()
    assert (gap.row, gap.blocks) == (row, blocks)
    assert key in gap.fix


@given(
    clauses=st.sets(st.sampled_from(list(CLAUSES))),
    contract=st.sampled_from([None, TODAY - timedelta(1), TODAY, TODAY + timedelta(1)]),
    review=st.sampled_from([None, TODAY - timedelta(1), TODAY, TODAY + timedelta(1)]),
    assessed=st.sampled_from([None, TODAY, TODAY + timedelta(1)]),
    tool=st.booleans(),
    country=st.sampled_from(["BE", "US"]),
    status=st.sampled_from(["active", "planned", "ended"]),
    to_check=st.booleans(),
    gate=st.sampled_from(list(Gate)),
)
def test_reg_02_the_gate_opens_only_for_a_valid_entry(
    clauses: set[str],
    contract: date | None,
    review: date | None,
    assessed: date | None,
    tool: bool,
    country: str,
    status: str,
    to_check: bool,
    gate: Gate,
) -> None:
    """REG-02, REG-03: marked "to be checked", planned, ended, unsigned, a third country without an assessed tool: always
    shut. Review overdue or a clause found missing: shut, or open where the policy says "warn". What shuts it is named
    as such in the register."""
    entry = {"country": country, "transfer_tool": "clauses" if tool else "", "transfer_assessed": assessed}
    policy = msgspec.structs.replace(
        having(
            WHOLE,
            **entry,
            clauses=tuple(clauses),
            contract=contract,
            review_by=review,
            status=status,
            to_check=to_check,
        ),
        processor_gaps=gate,
    )
    hard = (
        to_check
        or status != "active"
        or contract is None
        or contract > TODAY
        or (country == "US" and (not tool or assessed is None))
        or (assessed is not None and assessed > TODAY)
    )
    soft = review is None or review < TODAY or 0 < len(clauses) < len(CLAUSES)

    shut = policy.processor_problem("mailchimp", TODAY)
    assert (shut is not None) == (hard or (soft and gate is Gate.BLOCK))
    if status == "active":
        entries = processor_gaps(policy, policy.processors["mailchimp"], TODAY)
        assert any(gap.blocks for gap in entries) == (shut is not None)


def test_reg_03_a_third_country_without_a_tool_is_refused_whatever_the_policy_lets_pass() -> None:
    """REG-03: `processor_gaps = "warn"` is for reviews, not for transfers."""
    policy = msgspec.structs.replace(having(WHOLE, transfer_tool=""), processor_gaps=Gate.WARN)

    assert "REG-03" in (policy.processor_problem("mailchimp", TODAY) or "")


@pytest.mark.parametrize("name", ["mailchimp", "sendgrid"])
def test_reg_02_our_examples_count_for_nothing_until_somebody_looked(name: str) -> None:
    """REG-02: the starter's two entries are marked "to be checked by you"; only without the mark may one be used."""
    starter = load(TEMPLATES / "starter" / "policy.toml")
    party = starter.processors[name]

    assert party.to_check
    assert (party.contract, party.transfer_tool, party.clauses, party.security) == (None, "", (), "")
    assert "to be checked by you" in (starter.processor_problem(name, TODAY) or "")
    assert [gap.where for gap in processor_gaps(starter, party, TODAY)] == [f"processors.{name}.to_check"]
    filled = having(WHOLE, starter, adapter=name, to_check=True)
    assert "to be checked by you" in (filled.processor_problem(name, TODAY) or "")
    assert having(WHOLE, starter, adapter=name).processor_problem(name, TODAY) is None


def test_reg_04_a_sub_processor_abroad_needs_a_tool() -> None:
    """REG-04, REG-03, GDPR 28(4): the chain is looked at to its end."""
    from bridge.policy import SubProcessor

    other = SubProcessor(name="Host Inc.", service="hosting", country="US")
    found = told(having(WHOLE, sub_processors={other.name: other}))

    assert list(found) == ["processors.mailchimp.sub_processors.Host Inc."]
    assert found.popitem()[1].row == "REG-03"


def test_s14_a_crm_fits_the_same_form(tmp_path: Path) -> None:
    """REG-02, S14: a third party without an adapter has the same entry; what it gets must be said."""
    text = (TEMPLATES / "demo" / "policy.toml").read_text("utf-8")
    crm = '[[processors]]\nid = "crm"\nname = "Klantenboek nv"\nservice = "keeps our customers"\ncountry = "BE"\n'
    shutil.copytree(TEMPLATES / "demo" / "samples", tmp_path / "samples")
    path = tmp_path / "policy.toml"
    path.write_text(text.replace("[statement.authority]", f"{crm}\n[statement.authority]"), "utf-8")
    policy = load(path)

    assert policy.processors["crm"].key == "crm"
    found = told(policy)
    assert {"processors.crm.contract", "processors.crm.data", "processors.crm.owner"} <= set(found)
    assert found["processors.crm.contract"].blocks


def test_s14_whom_readers_are_told_of_has_an_entry() -> None:
    """REG-02, S14: a recipient named beside a box and found in no register is a gap."""
    offers = msgspec.structs.replace(DEMO.purposes["offers"], recipients=("mailchimp", "Drukkerij nv"))
    (gap,) = gaps(msgspec.structs.replace(DEMO, purposes={**DEMO.purposes, "offers": offers}), TODAY)

    assert (gap.where, gap.row) == ("purposes.offers.recipients", "REG-02")
    assert "Drukkerij nv" in gap.fix


@pytest.mark.parametrize("slot", ["dpia_screening", "suppression"])
def test_reg_05_an_empty_slot_is_a_gap(slot: str) -> None:
    """REG-05: no screening whether an impact assessment is needed, no weighing of the stop list: both are named."""
    without = msgspec.structs.replace(DEMO, assessments=msgspec.structs.replace(DEMO.assessments, **{slot: None}))

    (gap,) = gaps(without, TODAY)
    assert (gap.where, gap.row) == (f"assessments.{slot}", "REG-05")


def test_reg_05_each_use_without_a_yes_has_its_slot() -> None:
    """REG-05, GDPR 6(1)(f): soft opt-in, asking once more, lists of others: only where the policy has them."""
    asking = msgspec.structs.replace(DEMO.repermission, allowed=True)
    uses = {"soft_opt_in": True, "third_party_lists": "quarantine", "repermission": asking}
    for key, value in uses.items():
        (gap,) = gaps(msgspec.structs.replace(DEMO, **{key: value}), TODAY)
        assert (gap.where, gap.row) == (f"assessments.{key}", "REG-05")


def test_reviews_are_overdue_the_day_after() -> None:
    """REG-02, REG-05, CHN-01: processors, assessments and channels alike, each with the day since when."""
    due = date(2026, 11, 22)
    screening = msgspec.structs.replace(DEMO.assessments.dpia_screening, review_by=due)
    policy = msgspec.structs.replace(
        having(WHOLE, review_by=due),
        assessments=msgspec.structs.replace(DEMO.assessments, dpia_screening=screening),
        channels={key: msgspec.structs.replace(one, next_review=due) for key, one in DEMO.channels.items()},
    )

    assert gaps(policy, due) == []
    late = {gap.where for gap in gaps(policy, TODAY) if gap.overdue == due}
    assert late == {"processors.mailchimp.review_by", "assessments.dpia_screening", "channels.footer.next_review"}
