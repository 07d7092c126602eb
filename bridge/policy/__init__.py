"""The operator's policy: one TOML file, read once, refused as a whole when the law or the file is broken."""

import tomllib
from pathlib import Path

from bridge.policy.blocks import SAMPLES
from bridge.policy.countries import COUNTRIES, STRICT, Country, is_third_country, profile
from bridge.policy.gaps import Gap, GapKind, gaps, needed_assessments, processor_gaps
from bridge.policy.parties import CLAUSES, Gate, Processor, Strangers, SubProcessor
from bridge.policy.reading import FORM, Reading, parse_span
from bridge.policy.rules import refusals
from bridge.policy.shapes import (
    BESIDE,
    USUAL,
    Channel,
    ChannelKind,
    Contact,
    Controller,
    Field,
    LimitChoices,
    Looks,
    MailIdentity,
    Policy,
    PolicyError,
    Problem,
    Purpose,
    Repermission,
    Reports,
    Retention,
    SignUpLimits,
    Span,
)

__all__ = [
    "BESIDE",
    "CLAUSES",
    "COUNTRIES",
    "SAMPLES",
    "STRICT",
    "USUAL",
    "Channel",
    "ChannelKind",
    "Contact",
    "Controller",
    "Country",
    "Field",
    "Gap",
    "GapKind",
    "Gate",
    "LimitChoices",
    "Looks",
    "MailIdentity",
    "Policy",
    "PolicyError",
    "Processor",
    "Purpose",
    "Repermission",
    "Reports",
    "Retention",
    "SignUpLimits",
    "Span",
    "Strangers",
    "SubProcessor",
    "gaps",
    "is_third_country",
    "load",
    "needed_assessments",
    "parse_span",
    "processor_gaps",
    "profile",
]


def load(path: Path) -> Policy:
    """Read the policy file, or raise `PolicyError` with everything that is wrong in it."""
    reading = Reading()
    policy = reading.policy(_parsed(path))
    refused = [problem for problem in refusals(policy, path.parent) if not reading.failed(problem.where)]
    problems = reading.problems + refused
    if problems:
        raise PolicyError([str(problem) for problem in problems])
    return policy


def _parsed(path: Path) -> dict[str, object]:
    """The file as TOML gives it."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        fix = "there is no such file; set BRIDGE_POLICY, or write a first one with `consent-bridge init DIR`"
        raise _unreadable(path, fix) from error
    except OSError as error:
        raise _unreadable(path, f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise _unreadable(path, "is not UTF-8; save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise _unreadable(path, f"is not TOML: {error}") from error


def _unreadable(path: Path, fix: str) -> PolicyError:
    return PolicyError([str(Problem(str(path), FORM, fix))])
