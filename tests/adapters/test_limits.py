"""What README says of the platforms' limits, as far as no other test holds it."""

import pytest

from adapters._sendgrid_api import EU_HOST, HOST
from adapters.mailchimp import Mailchimp
from bridge.vocabulary import DONE
from tests.adapters import conftest, judge
from tests.adapters.conftest import Desk, an
from tests.adapters.test_mailchimp import AUDIENCE, MEMBER, SETTINGS, obeys
from tests.test_docs import rows


def test_without_an_interest_a_pause_is_an_unsubscribe_there(mailchimp: Desk) -> None:
    """Limits: an audience that serves one purpose knows "subscribed" and "unsubscribed" only."""
    adapter = Mailchimp(SETTINGS, {"newsletter": {"audience": AUDIENCE}}, {})
    mailchimp.on("PUT", MEMBER, obeys)
    mailchimp.on("PATCH", MEMBER, obeys)
    assert adapter.put([an(on=frozenset(), paused=frozenset({"newsletter"}))]) == [DONE]
    assert [call.body["status"] for call in mailchimp.calls if call.method != "GET"] == ["unsubscribed"]


def test_sendgrid_is_reached_at_the_hosts_it_names() -> None:
    """Settings: the default of `SENDGRID_BASE_URL`, and the host of the EU region."""
    meaning, default = rows("Settings")["`SENDGRID_BASE_URL`"]
    assert f"`{HOST}`" == default
    assert f"`{EU_HOST}`" in meaning


@pytest.mark.parametrize(
    ("missing", "lines"), [(True, ["official API documents not found: form not judged"]), (False, [])]
)
def test_a_check_that_was_not_made_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, missing: bool, lines: list[str]
) -> None:
    """What is proven: "else one line says that this was not done"."""

    class Reporter:
        def __init__(self) -> None:
            self.said: list[str] = []

        def write_line(self, line: str) -> None:
            self.said.append(line)

    monkeypatch.setattr(judge, "MISSING", missing)
    reporter = Reporter()
    conftest.pytest_terminal_summary(reporter)
    assert reporter.said == lines
