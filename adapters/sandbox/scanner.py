"""What stands between a mail and its reader: link scanners, and the mail program's own unsubscribe button."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

from adapters.sandbox.esp import ActError
from adapters.sandbox.knock import Answer, knock
from adapters.sandbox.mailbox import Mail, links_in

AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0 Safari/537.36",
    "Barracuda Sentinel (EE)",
    "Mozilla/5.0 (compatible; SafeLinks/1.0)",
)
#: Most links of a page that are followed.
MOST = 20


def scan(mail: Mail, hosts: frozenset[str]) -> dict[str, Any]:
    """Open every link of a mail as scanners do: HEAD, three GETs, and the links behind it. Never a POST."""
    visits = [visit for link in mail.links for visit in _visit(link, hosts)]
    skipped = [link for link in mail.links if urlsplit(link).hostname not in hosts]
    opened = len(mail.links) - len(skipped)
    return {
        "ok": True,
        "said": f"A scanner made {len(visits)} visits to {opened} {'link' if opened == 1 else 'links'} of the mail.",
        "codes": [status for _, _, status in visits],
        "visits": [{"method": method, "url": url, "status": status} for method, url, status in visits],
        "skipped": skipped,
    }


def _visit(link: str, hosts: frozenset[str]) -> Iterator[tuple[str, str, int]]:
    if urlsplit(link).hostname not in hosts:
        return
    yield "HEAD", link, _open("HEAD", link, AGENTS[0]).status
    page = Answer(0)
    for agent in AGENTS:
        page = _open("GET", link, agent)
        yield "GET", link, page.status
    for behind in _behind(link, page, hosts):
        yield "GET", behind, _open("GET", behind, AGENTS[0]).status


def _behind(link: str, page: Answer, hosts: frozenset[str]) -> list[str]:
    if not page.content_type.startswith("text/html"):
        return []
    every = [urldefrag(urljoin(link, one)).url for one in links_in(page.body.decode("utf-8", "replace"))]
    return [one for one in dict.fromkeys(every) if one != link and urlsplit(one).hostname in hosts][:MOST]


def _open(method: str, url: str, agent: str) -> Answer:
    return knock(method, url, headers={"User-Agent": agent, "Accept": "text/html,*/*"}, limit=5)


def press_unsubscribe(mail: Mail) -> dict[str, Any]:
    """The reader presses "Unsubscribe" in her mail program (RFC 8058)."""
    if not mail.one_click:
        raise ActError("This mail offers no one-click unsubscribe.")
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    status = knock("POST", mail.one_click, b"List-Unsubscribe=One-Click", kind).status
    return {
        "ok": 200 <= status < 300,
        "said": f"The mail program asked to unsubscribe; answer {status}.",
        "codes": [status],
    }
