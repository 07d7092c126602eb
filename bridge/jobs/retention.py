"""Retention: how long what is kept, and what then (MIN-06, section 8 of the standards). The table is data; the job that
keeps to it runs daily in the dispatcher, and by hand. Run twice, the second time changes nothing.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from bridge.bootstrap import Bridge
from bridge.decide import Spans
from bridge.policy import Policy
from bridge.policy.reading import parse_span
from bridge.policy.shapes import Retention, Span
from bridge.store.forgetting import QUARANTINE
from bridge.store.keeping import AGED, Keeper

#: Told what is done, and of how much.
Tell = Callable[[int, int], None]


class Rule(NamedTuple):
    """One line of the table."""

    id: str
    what: str
    keep: str | Span  # the key of the policy that says how long, else the span itself
    then: str
    rows: str  # of the standards


#: What sign-up limits look back to is a month; a day more, for whoever counts at this moment.
_COUNTED = Span(31, "days")

#: What a run by hand may keep for less long than the policy says.
_SHORTER = ("profile", "evidence", "bounced")

RULES: Sequence[Rule] = (
    Rule("pending", "sign-ups that nobody confirmed", "limits.pending_ttl", "deleted with the address", "R9 CON-06"),
    Rule(
        "quarantined",
        "contacts of third parties' lists without proof",
        Span(QUARANTINE.days, "days"),
        "deleted with the address, here and at the platforms",
        "CHN-04",
    ),
    Rule(
        "expired",
        "yeses without an act of the reader's since",
        "limits.consent_max_age",
        "noted as expired, and told to the platforms; then the next two",
        "R10",
    ),
    Rule(
        "profile",
        "what people who left had filled in, and their language",
        "retention.profile",
        "deleted; the address stays sealed with the proof",
        "MIN-06",
    ),
    Rule(
        "evidence",
        "the proof of people who left, with their address",
        "retention.evidence",
        "erased here and at the platforms; keyed hashes stay",
        "MIN-06 SUP-04",
    ),
    Rule("bounced", "people whose address is dead", "retention.bounced", "erased, as above", "R7"),
    Rule(
        "stop_list",
        "keyed hashes of addresses that said no",
        "retention.stop_list",
        "kept on while you mail anybody; deleted after marketing_ended",
        "SUP-01",
    ),
    Rule("webhook_bodies", "bodies of webhooks", "retention.webhook_bodies", "never stored", "MIN-05"),
    Rule("sign_up_limits", "keyed hashes that sign-up limits count", _COUNTED, "deleted", "CAP-10"),
    Rule("request_files", "files of requests that were answered", "retention.request_files", "deleted", "RGT-09"),
    Rule("breaches", "breaches that were closed", "retention.breach_register", "deleted, with all notes", "BRC-01"),
    Rule("staff_log", "who did what", "retention.staff_log", "who, why and about what are blanked", "ORG-02"),
    Rule("approvals", "acts of staff that waited for approval", "retention.staff_log", "deleted", "ORG-02"),
)


def span_of(rule: Rule, policy: Policy, retention: Retention | None = None) -> Span:
    """How long this is kept by the policy of today."""
    if isinstance(rule.keep, Span):
        return rule.keep
    part, _, key = rule.keep.partition(".")
    of = policy.limits_ if part == "limits" else retention or policy.retention
    found: Span = getattr(of, key)
    return found


def shorter(retention: Retention, wanted: Mapping[str, str]) -> Retention:
    """The policy's spans with some that are shorter, once. Raises `ValueError` for one that is not."""
    spans: dict[str, Span] = {}
    for key, text in wanted.items():
        span = parse_span(text)
        if key not in _SHORTER or span is None:
            raise ValueError(f"write KEY=SPAN, with one of {', '.join(_SHORTER)}, like evidence='12 months'")
        if span.time > getattr(retention, key).time:
            raise ValueError(f"{key} is kept for {getattr(retention, key)} by the policy; by hand only for less")
        spans[key] = span
    return msgspec.structs.replace(retention, **spans)


class Purge:
    """One run. `retention` is the policy's unless a shorter one was asked for; `halt` says that it must end soon."""

    def __init__(
        self,
        bridge: Bridge,
        *,
        retention: Retention | None = None,
        tell: Tell = lambda _done, _all: None,
        halt: Callable[[], bool] = lambda: False,
    ) -> None:
        self.bridge, self.store, self.now = bridge, bridge.store, bridge.clock()
        self.retention = retention or bridge.policy.retention
        self._tell, self._halt = tell, halt

    def count(self) -> dict[str, int]:
        """What `run` would do now, by rule; changes nothing."""
        store = self.store
        pending, channels = store.overdue_requests(self.now), self.bridge.third_parties
        brought = [store.overdue_quarantined(channels, self.now)] if channels else []
        found = Counter(pending=store.count(*pending), quarantined=store.count(*brought) if brought else 0)
        found += self._keeper().count(self._tell, [*pending, *brought])
        for rule, before in self._aged().items():
            found[rule] = AGED[rule].due(store.database, before)
        found["request_files"] = store.cases.count_late(self._before("request_files"))
        found["breaches"] = store.breaches.count_late(self._before("breaches"))
        found["staff_log"] = store.staff.count_late(self._before("staff_log"))
        return _whole(found)

    def run(self) -> dict[str, int]:
        """Forget what is due; how much, by rule. What others do meanwhile waits for one short transaction at most."""
        self.bridge.acts.parking.replay()  # a stop that is parked still is said before anybody is forgotten
        found = Counter[str](pending=self.pending(), quarantined=self.quarantined())
        found += self._keeper().forget(self._tell, self._halt)
        for rule, before in self._aged().items():
            if not self._halt():
                found[rule] = AGED[rule].forget(self.store.database, before)
        found["request_files"] = self.store.cases.forget(self._before("request_files"))
        found["breaches"] = self.store.breaches.forget(self._before("breaches"))
        found["staff_log"] = self.store.staff.forget(self._before("staff_log"))
        if +found:
            self.bridge.store.nudge()
        return _whole(found)

    def pending(self) -> int:
        """Sign-ups that nobody confirmed in time."""
        return self._until_none(self.store.forget_requests)

    def quarantined(self) -> int:
        """Whom somebody else's list brought without a proof is kept for less than a month (CHN-04)."""
        channels = self.bridge.third_parties
        return self._until_none(lambda: self.store.forget_quarantined(channels)) if channels else 0

    def _until_none(self, forget: Callable[[], int]) -> int:
        total = 0
        while not self._halt() and (gone := forget()):
            total += gone
        return total

    def _keeper(self) -> Keeper:
        kept = self.retention
        return self.store.keeper(self.now, Spans(kept.profile.time, kept.evidence.time, kept.bounced.time))

    def _aged(self) -> Mapping[str, datetime]:
        """The tables whose rows only grow old, and until when those go."""
        ended = self.retention.marketing_ended
        mailing = ended is None or ended > self.now.astimezone(self.bridge.policy.zone).date()
        return {rule: self._before(rule) for rule in AGED if rule != "stop_list" or not mailing}

    def _before(self, id_: str) -> datetime:
        (rule,) = (rule for rule in RULES if rule.id == id_)
        return self.now - span_of(rule, self.bridge.policy, self.retention).time


def _whole(found: Mapping[str, int]) -> dict[str, int]:
    """Every rule with its count, in the order of the table."""
    return {rule.id: found.get(rule.id, 0) for rule in RULES}


def as_data(policy: Policy, counts: Mapping[str, int], retention: Retention | None = None) -> list[dict[str, Any]]:
    """The table with what became of each line."""
    return [
        {
            "rule": rule.id,
            "what": rule.what,
            "kept": str(span_of(rule, policy, retention)),
            "then": rule.then,
            "count": counts[rule.id],
        }
        for rule in RULES
    ]
