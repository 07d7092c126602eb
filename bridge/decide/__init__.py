"""The rules: who may be mailed, and why. Pure: values in, values out, no clock, no database, no settings.

Rule numbers R1 to R16 are those of section 3 of the requirements the project is built on; each test names its rule.
"""

from bridge.decide.entries import SAYS_YES, event_of, judge_entry
from bridge.decide.history import (
    FOR_ALL,
    LISTED,
    MAILABLE,
    NEXT,
    STOPS,
    Standing,
    blocks,
    concerns,
    paused_until,
    settled,
    standing,
    status,
    strictest,
    unconfirmed_move,
    whole,
)
from bridge.decide.mails import (
    gate,
    is_live,
    is_on,
    may_ask,
    may_ask_once_more,
    may_confirm_again,
    may_mail,
    pending,
)
from bridge.decide.news import Decision, Work, decide, is_news
from bridge.decide.proof import SALE_FACTS, missing_evidence, soft_opt_in_gaps

__all__ = [
    "FOR_ALL",
    "LISTED",
    "MAILABLE",
    "NEXT",
    "SALE_FACTS",
    "SAYS_YES",
    "STOPS",
    "Decision",
    "Standing",
    "Work",
    "blocks",
    "concerns",
    "decide",
    "event_of",
    "gate",
    "is_live",
    "is_news",
    "is_on",
    "judge_entry",
    "may_ask",
    "may_ask_once_more",
    "may_confirm_again",
    "may_mail",
    "missing_evidence",
    "paused_until",
    "pending",
    "settled",
    "soft_opt_in_gaps",
    "standing",
    "status",
    "strictest",
    "unconfirmed_move",
    "whole",
]
