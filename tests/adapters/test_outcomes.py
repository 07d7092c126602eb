"""What the calls about one member say together, in whatever order they were made."""

from itertools import permutations

import pytest

from adapters._outcomes import later, refused, worst
from bridge.vocabulary import DONE, Outcome, OutcomeKind

#: Mailchimp took her yes in this audience, and only her link is missing there.
TAKEN = later("kept_prefs")._replace(told=True)


@pytest.mark.parametrize("other", [DONE, later("kept_pending"), later("busy", 3.0)], ids=lambda o: o.reason or "done")
def test_a_yes_that_one_audience_took_is_never_said_anew(other: Outcome) -> None:
    """WDR-04: whoever leaves there before the retry is not brought back by it, whatever another audience answered."""
    for outcomes in permutations((TAKEN, other)):
        whole = worst(outcomes)
        assert whole.kind is OutcomeKind.LATER
        assert whole.told


def test_no_job_and_no_doubt_is_forgotten() -> None:
    """Decision 24: the weightiest answer stands for all; jobs that name her and calls that may have worked stay known."""
    job = Outcome(OutcomeKind.PENDING, "job", 5.0, "one")
    doubt = later("no_job")._replace(maybe=True)
    for outcomes in permutations((job, doubt, job._replace(job="two one"), refused("row_refused"), DONE)):
        whole = worst(outcomes)
        assert (whole.kind, whole.reason, whole.maybe) == (OutcomeKind.LATER, "no_job", True)
        assert set(whole.job.split()) == {"one", "two"}
        assert not whole.told
    assert worst([]) == DONE
