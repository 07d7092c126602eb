"""Our own address as mail programs, scanners and platforms meet it: through the proxy, the firewall and the cache.

Everything is fired with a link that is signed like any other but belongs to nobody, so that it can do nobody harm.
"""

import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from bridge.bootstrap import Bridge
from bridge.jobs.doctor.knock import Answer, knock
from bridge.links import Action, Claim
from bridge.vault import new_id
from bridge.vocabulary import Finding

_FORM = "application/x-www-form-urlencoded"
_EDGE = "cbdoctor7f3a"
_PART = 'Content-Disposition: form-data; name="List-Unsubscribe"'

#: What RFC 8058 lets a mail program post, in both encodings.
ONE_CLICKS: Mapping[str, tuple[str, bytes]] = {
    "urlencoded": (_FORM, b"List-Unsubscribe=One-Click"),
    "multipart": (
        f"multipart/form-data; boundary={_EDGE}",
        f"--{_EDGE}\r\n{_PART}\r\n\r\nOne-Click\r\n--{_EDGE}--\r\n".encode(),
    ),
}

#: On a busy system others write in between: so often it is looked again.
_TRIES = 5


class _Nobody(NamedTuple):
    """Links like those of a reader, with an id that nobody has."""

    stop: str
    pages: Mapping[str, str]  # path -> whole address


def look(bridge: Bridge) -> Iterator[Finding]:
    """Whether it answers, whether one click works, whether looking changes nothing, whether webhooks come through."""
    where = bridge.settings.base_url
    alive = knock("GET", f"{where}/healthz")
    if alive.status != 200:
        yield Finding(f"pages at {where}", False, _away(alive))
        return
    yield Finding(f"pages at {where}", True)
    nobody = _nobody(bridge)
    for encoding, (kind, body) in ONE_CLICKS.items():
        answer = knock("POST", nobody.stop, body, {"Content-Type": kind})
        wrong = _against_click(answer)
        yield Finding(f"one-click unsubscribe, {encoding} (RFC 8058)", not wrong, wrong)
    yield _looking(bridge, nobody)
    for name in dict.fromkeys([*bridge.adapters, bridge.road]):
        if bridge.ears(name) is not None:
            yield _webhook(bridge.links.url("/webhooks/", name), name)


def _away(answer: Answer) -> str:
    trouble = answer.trouble or f"it answers {answer.status}"
    return f"{trouble}: start `consent-bridge serve`, or look at the proxy in front and at BRIDGE_BASE_URL"


def _nobody(bridge: Bridge) -> _Nobody:
    links, subject = bridge.links, new_id()
    mark = links.mark(f"{subject}@nobody.invalid")  # no such domain can ever be (RFC 2606)
    pages = {}
    for path, action in (("/u/", Action.STOP), ("/preferences/", Action.STOP), ("/confirm/", Action.CONFIRM)):
        claim = Claim(action=action, subject=subject, address=mark, made=bridge.clock(), request=new_id())
        pages[path] = links.url(path, links.token(claim))
    return _Nobody(pages["/u/"], pages)


def _against_click(answer: Answer) -> str:
    """What a mail program would stumble over."""
    if answer.status == 0:
        return answer.trouble
    if 300 <= answer.status < 400:
        return f"it answers with a redirect ({answer.status}), which mail programs do not follow: let /u/ pass as it is"
    if answer.status != 200:
        return f"it answers {answer.status}: let POST to /u/ pass the proxy or firewall, without login, cookie or token"
    if "Set-Cookie" in answer.headers:
        return "something in front of the pages sets a cookie: switch that off for /u/"
    if b"nsubscribed" not in answer.body:
        return "something else than our pages answers: send /u/ to `consent-bridge serve`"
    return ""


def _looking(bridge: Bridge, nobody: _Nobody) -> Finding:
    """GET and HEAD of what is in mails: scanners open it by the thousand, and nothing may come of that (WDR-06)."""
    subject = "opening links changes nothing (GET, HEAD)"
    busy = False
    for _ in range(_TRIES):
        before, began = bridge.store.last_written(), time.monotonic()
        for path, url in nobody.pages.items():
            for method in ("GET", "HEAD"):
                wrong = _against_look(path, knock(method, url))
                if wrong:
                    return Finding(subject, False, wrong)
        after = bridge.store.last_written()
        if after == before:
            return Finding(subject, True)
        time.sleep(min(1.0, time.monotonic() - began))  # as long without a look: who writes then was not set off by it
        busy = busy or bridge.store.last_written() != after
    if busy:
        return Finding(subject, True, "too much is written meanwhile to be sure: look again at a calmer hour")
    return Finding(subject, False, "each time something was written: do not use this version, and tell its makers")


def _against_look(path: str, answer: Answer) -> str:
    if answer.status == 0 or answer.status >= 500:
        return f"{path}… {answer.trouble or f'answers {answer.status}'}: look at the pages and the proxy in front"
    if 300 <= answer.status < 400:
        return f"{path}… answers with a redirect ({answer.status}): let it pass as it is"
    if path != "/confirm/" and "Set-Cookie" in answer.headers:
        return f"something in front of {path}… sets a cookie: switch that off"
    if "no-store" not in answer.headers.get("Cache-Control", ""):
        return f"{path}… may be kept by a cache in front (Cache-Control: no-store is gone): let our headers pass"
    return ""


def _webhook(url: str, name: str) -> Finding:
    """Whether the address is there for the platform, and refuses who cannot prove to be it (HOOK-01)."""
    subject = f"{name}: its webhook reaches us at {url}"
    there, forged = knock("GET", url), knock("POST", url, b"type=doctor", {"Content-Type": _FORM})
    if there.status != 200:
        told = there.trouble or f"it answers {there.status} to GET"
        return Finding(
            subject,
            False,
            f"{told}: let /webhooks/ pass, and start serve with {name} in BRIDGE_ADAPTERS or BRIDGE_MAIL_URL",
        )
    if forged.status != 401:
        told = forged.trouble or f"it answers {forged.status}"
        return Finding(
            subject, False, f"a forged call is not refused ({told}, not 401): let POST to /webhooks/ pass as it is"
        )
    return Finding(subject, True)
