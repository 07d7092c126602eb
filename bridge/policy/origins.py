"""The origins that are the operator's own: written as a browser tells them, for they are compared to the letter."""

import re
from urllib.parse import urlsplit

from bridge.policy.checks import Problems
from bridge.policy.shapes import Policy, Problem

_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
#: https and a whole name; http for this machine alone.
_ORIGIN = re.compile(rf"(?:https://{_LABEL}(?:\.{_LABEL})+|https?://(?:localhost|127\.0\.0\.1|\[::1\]))(?::[0-9]+)?")


def own_sites(policy: Policy) -> Problems:
    """Each an origin and nothing more: no path, no pattern, nothing that a browser would write otherwise."""
    where, sites = "sign_up.own_sites", policy.sign_up.own_sites
    for site in sites:
        meant = _meant(site)
        if not meant or site != meant:
            fix = f'write "{meant}"' if meant else 'write it like "https://www.shop.example"; http only for localhost'
            yield Problem(where, "CON-05", f'"{site}" is no origin as a browser tells it: {fix}')
    if len(set(sites)) < len(sites):
        yield Problem(where, "CON-05", "a site is there twice; name each once")


def _meant(site: str) -> str:
    """The origin of an address as a browser writes it: small letters, no port that goes without saying, nothing behind.

    Empty where it has none that may be named here.
    """
    try:
        parts = urlsplit(site.strip())
        port = {"https": 443, "http": 80}.get(parts.scheme) != parts.port and parts.port
    except ValueError:
        return ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    origin = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
    return origin if "@" not in parts.netloc and _ORIGIN.fullmatch(origin) else ""
