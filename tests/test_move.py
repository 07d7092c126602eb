"""From one ESP to another: copied by what readers said here, both told for a while, then the old one given up.

Issue 4, point 9; rows ESP-01, ESP-02, ESP-04, RGT-04. On both databases, from the sandbox's Mailchimp to its SendGrid.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from adapters.sandbox.control import perform
from adapters.sandbox.server import Running
from bridge.cli import main
from bridge.decide.sides import Verdict
from bridge.jobs.moving import Move
from bridge.jobs.reconcile import Reconciler
from bridge.store import BadInput
from bridge.vocabulary import EventType, Member, Report, Status
from tests.bulk import PLACES, Bulk, settings
from tests.conftest import House
from tests.test_store import consents, withdraws

OLD, NEW = "mailchimp", "sendgrid"


@pytest.fixture
def both(house: House, running: Running, keys: dict[str, str]) -> Bulk:
    """A house whose readers are at the old ESP only, some hours ago."""
    running.state.reset()
    house.clock.now = datetime.now(UTC) - timedelta(hours=12)
    return Bulk(house, running, keys, (OLD, NEW)).at_once()


@pytest.fixture
def emails(both: Bulk) -> list[str]:
    """Five readers of both purposes, whom only the old ESP knows; then the new one is switched on too."""
    both.house.store.adapters = (OLD,)
    made = both.people(5, "newsletter", "offers")
    both.settle()
    assert [both.receives(OLD, email) for email in made] == [["newsletter", "offers"]] * 5
    both.house.store.adapters = (OLD, NEW)
    return made


def later(both: Bulk) -> None:
    """What happened has settled at the ESPs."""
    both.house.clock.now = max(both.house.clock.now, datetime.now(UTC)) + timedelta(minutes=30)


def move(both: Bulk) -> Move:
    """The move, some time later."""
    later(both)
    return Move(both.house.bridge, OLD, NEW)


def copied(both: Bulk) -> None:
    """Copy, and let both ESPs hear it."""
    move(both).copy()
    both.settle()


def happens(both: Bulk, esp: str, email: str, act: str, purpose: str = "") -> None:
    """Somebody does something at an ESP, and its webhook is lost."""
    perform(both.running.state, {"esp": esp, "email": email, "act": act, "purpose": purpose})


def test_everybody_with_a_yes_is_copied_and_nobody_else(both: Bulk, emails: list[str]) -> None:
    """ESP-01: by the store, never by the old ESP's word."""
    withdraws(both.house, emails[0], "newsletter")
    withdraws(both.house, emails[0], "offers")
    withdraws(both.house, emails[1], "offers")
    both.settle()
    happens(both, OLD, emails[2], "unsubscribe")  # its webhook was lost
    happens(both, OLD, "vreemd@elders.example", "subscribe", "newsletter")

    plan = move(both).plan()
    assert (plan.old.compared, plan.new.compared, plan.new.may) == (6, 2, 4)  # at the new one: two stops
    assert not plan.is_equal
    assert both.waiting() == 0, "a plan changes nothing"
    copied(both)

    both.equal(emails)
    assert both.receives(NEW, emails[1]) == ["newsletter"]
    assert both.receives(NEW, emails[2]) == []
    assert both.receives(NEW, "vreemd@elders.example") == []
    assert both.receives(OLD, "vreemd@elders.example") == ["newsletter"], "not known here, so not touched"
    assert move(both).plan().is_equal


def test_while_both_run_both_hear_of_everything(both: Bulk, emails: list[str]) -> None:
    copied(both)
    consents(both.house, "nieuw@lezer.example", "newsletter")
    withdraws(both.house, emails[3], "offers")
    both.settle()
    both.equal([*emails, "nieuw@lezer.example"])


def test_a_stop_at_the_new_one_wins_unless_her_yes_is_newer(both: Bulk, emails: list[str]) -> None:
    """ESP-02, ESP-03: the account at the new ESP may be older than this move."""
    esp: Any = both.running.state.esp(NEW)
    long_ago, just_now = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp()), int(datetime.now(UTC).timestamp())
    with esp.lock:
        esp.stops.left[101] |= {emails[0]: long_ago, emails[1]: just_now}
    copied(both)
    assert both.receives(NEW, emails[0]) == ["newsletter", "offers"]
    assert both.house.store.may_mail(emails[1], "newsletter").status is Status.WITHDRAWN
    both.equal(emails)


def test_nothing_is_switched_off_before_both_are_equal(both: Bulk, emails: list[str], cli: Callable[..., Any]) -> None:
    ran = cli("--finish", "--yes")
    assert ran.exit_code == 1
    assert "not equal yet" in ran.output
    both.settle()
    assert [both.receives(OLD, email) for email in emails] == [["newsletter", "offers"]] * 5


def test_the_old_one_is_switched_off_and_no_yes_is_taken_back(both: Bulk, emails: list[str]) -> None:
    """Given up is no stop of hers: nobody is unsubscribed there, so nothing comes back as a withdrawal."""
    copied(both)
    assert move(both).finish() == 5
    both.settle()

    assert [both.receives(OLD, email) for email in emails] == [[]] * 5
    assert {both.running.state.esp(OLD).person(email)["status"] for email in emails} == {"subscribed"}
    assert [both.receives(NEW, email) for email in emails] == [["newsletter", "offers"]] * 5
    assert all(both.house.store.may_mail(email, "newsletter").may for email in emails)

    for name in (OLD, NEW):
        later(both)
        result = Reconciler(both.house.bridge, name, dry_run=False, max_changes=9).run()
        assert (result.differences, result.applied) == (0, 0), name
    assert move(both).finish() == 5, "safe to run again"
    both.settle()
    consents(both.house, "nieuw@lezer.example", "newsletter")
    both.settle()
    assert both.receives(OLD, "nieuw@lezer.example") == []
    assert both.receives(NEW, "nieuw@lezer.example") == ["newsletter"]


def test_a_stop_at_the_old_one_still_counts_after_it_was_given_up(both: Bulk, emails: list[str]) -> None:
    """ESP-02: old mails are clicked for a long time."""
    copied(both)
    move(both).finish()
    both.settle()
    now = both.house.clock()
    both.house.store.hear(OLD, [Report(type=EventType.UNSUBSCRIBED, email=emails[0], time=now, key="1")])
    happens(both, OLD, emails[1], "unsubscribe")
    later(both)
    Reconciler(both.house.bridge, OLD, dry_run=False, max_changes=0).run()
    both.settle()
    assert [both.receives(NEW, email) for email in emails[:3]] == [[], [], ["newsletter", "offers"]]


def test_who_is_put_on_at_the_old_one_again_is_switched_off_again(both: Bulk, emails: list[str]) -> None:
    copied(both)
    move(both).finish()
    both.settle()
    both.house.bridge.adapters[OLD].put([Member(email=emails[0], on=frozenset({"offers"}))])
    later(both)
    found: list[Any] = []
    Reconciler(both.house.bridge, OLD, dry_run=False, max_changes=0, tell=found.append).run()
    both.settle()
    assert [(difference.purpose, difference.verdict) for difference in found] == [("offers", Verdict.PAUSED)]
    assert both.receives(OLD, emails[0]) == []
    assert both.house.store.may_mail(emails[0], "offers").may


def test_the_way_back_is_a_move_too(both: Bulk, emails: list[str]) -> None:
    copied(both)
    move(both).finish()
    both.settle()
    later(both)
    Move(both.house.bridge, NEW, OLD).copy()
    both.settle()
    both.equal(emails)


def test_an_audience_that_knows_no_pause_is_not_switched_off(both: Bulk, emails: list[str]) -> None:
    """An unsubscribe of ours there would come back as her own."""
    copied(both)
    both.house.bridge.adapters[OLD].knows_pause = lambda purpose: purpose != "offers"  # type: ignore[method-assign]
    with pytest.raises(BadInput, match="cannot switch off offers"):
        move(both).finish()
    assert both.waiting() == 0


def test_on_request_everybody_of_ours_is_deleted_there_and_nobody_else(both: Bulk, emails: list[str]) -> None:
    """ESP-04: by the permanent delete, looked for until she is gone; here everything stays."""
    happens(both, OLD, "vreemd@elders.example", "subscribe", "newsletter")
    copied(both)
    with pytest.raises(BadInput, match="still in use"):
        move(both).delete()
    move(both).finish()
    with pytest.raises(BadInput, match="5 people are still being switched off"):
        move(both).delete()
    both.settle()

    assert move(both).delete() == 5
    for _ in range(30):
        both.house.clock.forward(minutes=10)
        both.house.dispatch()

    old = both.running.state.esp(OLD)
    assert [old.person(email)["present"] for email in emails] == [False] * 5
    assert old.person("vreemd@elders.example")["present"]
    assert not any(task.waiting for task in both.house.store.tasks() if "erasures" in task.name)
    assert all(both.house.store.may_mail(email, "newsletter").may for email in emails)
    assert [both.receives(NEW, email) for email in emails] == [["newsletter", "offers"]] * 5
    assert move(both).delete() == 0
    withdraws(both.house, emails[0], "offers")
    both.settle()
    assert not old.person(emails[0])["present"], "nobody comes back there"


def test_who_changes_something_while_she_is_deleted_there_is_deleted_all_the_same(
    both: Bulk, emails: list[str]
) -> None:
    copied(both)
    move(both).finish()
    both.settle()
    move(both).delete()
    withdraws(both.house, emails[0], "offers")  # she is told of there again
    for _ in range(30):
        both.house.clock.forward(minutes=10)
        both.house.dispatch()
    assert not both.running.state.esp(OLD).person(emails[0])["present"]
    assert both.receives(NEW, emails[0]) == ["newsletter"]


# -- what stands in the way, and the command -----------------------------------------------------------------------


def test_what_is_missing_for_a_move_is_named(both: Bulk) -> None:
    bridge = both.house.bridge
    for old, new, words in (
        (OLD, OLD, "same platform"),
        ("pigeon", NEW, "pigeon is not switched on"),
    ):
        with pytest.raises(BadInput, match=words):
            Move(bridge, old, new)
    del bridge.policy.purposes["offers"].at[NEW]
    with pytest.raises(BadInput, match=r"add \[purposes.at.sendgrid\] of offers"):
        Move(bridge, OLD, NEW)
    bridge.policy.purposes["offers"].at[NEW] = PLACES[NEW]["offers"]
    del bridge.policy.processors[NEW]
    with pytest.raises(BadInput, match="REG-02"):
        Move(bridge, OLD, NEW)


@pytest.fixture
def cli(both: Bulk, policy_folder: Path, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run `consent-bridge move --from mailchimp --to sendgrid …` on the house's database."""
    file = policy_folder / "policy.toml"
    text = file.read_text()
    for purpose in ("newsletter", "offers"):
        places = "\n".join(
            f"[purposes.at.{name}]\n" + "\n".join(f'{k} = "{v}"' for k, v in PLACES[name][purpose].items())
            for name in (OLD, NEW)
        )
        text = text.replace(f'[purposes.at.memory]\nlist = "{purpose}"\n', places + "\n")
    contract = text[text.index("[[processors]]") :]
    text = text.replace(contract, "\n".join(contract.replace('"memory"', f'"{name}"') for name in (OLD, NEW)))
    file.write_text(text)
    environment = {**both.house.environment, **settings(both.running, keys), "BRIDGE_ADAPTERS": f"{OLD},{NEW}"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def run(*options: str) -> Any:
        return CliRunner().invoke(main, ["move", "--from", OLD, "--to", NEW, *options])

    return run


def test_the_command_plans_asks_copies_verifies_and_finishes(
    both: Bulk, emails: list[str], cli: Callable[..., Any]
) -> None:
    ran = cli()
    assert ran.exit_code == 1
    assert "5 have a yes here; 5 of them are to be told to sendgrid" in ran.output
    assert "look at the plan, then say --yes" in ran.output
    assert both.waiting() == 0

    ran = cli("--yes", "--json")
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["missing"] == 5
    later(both)
    both.settle()
    both.equal(emails)

    ran = cli()
    assert ran.exit_code == 0, ran.output
    assert "Both are equal" in ran.output
    ran = cli("--finish", "--yes")
    assert ran.exit_code == 0, ran.output
    assert "5 people are being switched off at mailchimp" in ran.output
    both.settle()
    assert [both.receives(OLD, email) for email in emails] == [[]] * 5
    ran = cli("--finish", "--delete", "--yes")
    assert ran.exit_code == 0, ran.output
    assert "5 people are being deleted at mailchimp" in ran.output
    assert not any(email in ran.output for email in emails)


def test_deleting_goes_with_finishing(cli: Callable[..., Any]) -> None:
    assert cli("--delete", "--yes").exit_code == 2
