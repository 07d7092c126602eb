"""Make README's pictures from the running demo: `python scripts/screenshots.py`. They land in docs/images."""

import re
import signal
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from playwright.sync_api import Browser, Page, sync_playwright

from bridge.cli.demo import free_port
from scripts.chromium import MISSING, find
from tests.browser import ARGUMENTS

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1200, "height": 760}
AN, EMMA, DIRK = "an@krant-lezer.example", "emma@krant-lezer.example", "dirk@krant-lezer.example"


#: A terminal as a page.
TERMINAL = """<!doctype html><style>
body {{ margin: 0; padding: 20px 24px; width: max-content; background: #16181d; color: #d8dce3 }}
pre {{ margin: 0; font: 15px/1.5 ui-monospace, "DejaVu Sans Mono", monospace }}
b {{ color: #fff }} i {{ color: #7ee2a8; font-style: normal }}
</style><pre>{}</pre>"""


#: Pages side by side.
SHEET = """<!doctype html><style>
body {{ margin: 0; padding: 16px; width: max-content; display: flex; gap: 16px; background: #c9c6bf }}
img {{ width: 208px; border-radius: 10px; display: block }}
</style>{}"""


@contextmanager
def demo() -> Iterator[tuple[str, str, Path]]:
    """The demo in a folder of its own: where its pages, its sandbox and its settings are."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "bridge.cli", "demo", "--port", str(port), "--data", folder]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            _wait(f"http://127.0.0.1:{port}/readyz", process)
            yield f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}", Path(folder) / ".env"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        try:
            with urlopen(url, timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise SystemExit("the demo did not start")


def mailed(page: Page, sandbox: str, email: str, path: str) -> str:
    """The newest link with this path in her mailbox, once it is there."""
    for _ in range(100):
        mails = page.request.get(f"{sandbox}/control/mails", params={"to": email}).json()
        mails = mails["mails"] if isinstance(mails, dict) else mails
        links = [link for mail in sorted(mails, key=lambda m: m["id"]) for link in mail["links"] if path in link]
        if links:
            return str(links[-1])
        time.sleep(0.1)
    raise SystemExit(f"no mail with {path} came")


def joins(page: Page, bridge: str, sandbox: str, email: str, *purposes: str) -> None:
    """Sign somebody up, with the button pressed."""
    page.goto(f"{bridge}/subscribe?language=en")
    for purpose in purposes:
        page.check(f"#purpose-{purpose}")
    page.fill("#email", email)
    page.click("main form button")
    page.goto(mailed(page, sandbox, email, "/confirm/"))
    page.click("main form button")


def phone(browser: Browser, url: str, name: str, *, scheme: str = "light") -> None:
    """One page as a phone shows it."""
    page = browser.new_page(viewport=PHONE, color_scheme=scheme)
    page.goto(url)
    page.screenshot(path=IMAGES / f"{name}.png")
    page.close()


def tongues(browser: Browser, url: str) -> None:
    """One page in four languages, every other one by night."""
    taken = []
    for number, language in enumerate(("en", "nl", "fr", "de")):
        page = browser.new_page(viewport=PHONE, color_scheme=("light", "dark")[number % 2])
        page.goto(f"{url}?language={language}")
        taken.append(b64encode(page.screenshot()).decode())
        page.close()
    page = browser.new_page(viewport={"width": 1000, "height": 500})
    page.set_content(SHEET.format("".join(f'<img src="data:image/png;base64,{shot}">' for shot in taken)))
    page.locator("body").screenshot(path=IMAGES / "languages.png")
    page.close()


def connected(browser: Browser, settings: Path, name: str) -> None:
    """What `setup` and `doctor` say of a platform, as it was just printed."""
    lines = []
    for words, wanted in (
        (["setup", name], ""),
        (["doctor"], name),
    ):
        command = [sys.executable, "-m", "bridge.cli", *words, "--env-file", str(settings)]
        told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        lines += [f"$ consent-bridge {' '.join(words)}", *(line for line in told.splitlines() if wanted in line), ""]
    drawn = [
        f"<b>{escape(line)}</b>" if line.startswith("$") else re.sub(r"^(ok|done|made)\b", r"<i>\1</i>", escape(line))
        for line in lines[:-1]
    ]
    page = browser.new_page(viewport={"width": 900, "height": 200})
    page.set_content(TERMINAL.format("\n".join(drawn)))
    page.locator("body").screenshot(path=IMAGES / f"connect-{name}.png")
    page.close()


def first_day(browser: Browser, page: Page, sandbox: str, settings: Path) -> None:
    """The report of an audit of README's first day."""
    page.request.post(f"{sandbox}/control/fill")
    lists = Path(__file__).resolve().parent.parent / "tests" / "lists"
    report = settings.parent / "mailchimp"
    for words in (
        ["import", str(lists / "mailchimp-unsubscribed.csv"), "--channel", "footer"],
        ["import", str(lists / "sendgrid-unsubscribes.csv"), "--channel", "footer", "--status", "unsubscribed"],
        ["import", str(lists / "crm-proof.csv"), "--channel", "footer"],
        ["import", str(lists / "mailchimp-subscribed.csv"), "--channel", "footer"],
        ["audit", "--adapter", "mailchimp", "--out", str(report), "--language", "en"],
    ):
        command = [sys.executable, "-m", "bridge.cli", *words, "--env-file", str(settings)]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    shown = browser.new_page(viewport={"width": 900, "height": 1095}, color_scheme="light")
    shown.goto(report.with_suffix(".html").as_uri())
    shown.screenshot(path=IMAGES / "audit.png")
    shown.close()


def main() -> None:
    """Everything README shows."""
    program = find()
    if program is None:
        raise SystemExit(MISSING)
    IMAGES.mkdir(parents=True, exist_ok=True)
    with demo() as (bridge, sandbox, settings), sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=ARGUMENTS)
        page = browser.new_page(viewport=DESKTOP, java_script_enabled=False)  # a button is pressed, not by itself
        joins(page, bridge, sandbox, EMMA, "newsletter", "offers")
        joins(page, bridge, sandbox, DIRK, "offers")
        phone(browser, f"{bridge}/subscribe?language=en", "subscribe")
        page.goto(f"{bridge}/subscribe?language=en")
        page.check("#purpose-newsletter")
        page.fill("#email", AN)
        page.click("main form button")
        confirm = mailed(page, sandbox, AN, "/confirm/")
        phone(browser, confirm, "confirm")
        page.goto(confirm)
        page.click("main form button")
        stop = mailed(page, sandbox, AN, "/u/")
        phone(browser, stop.replace("/u/", "/preferences/"), "preferences")
        phone(browser, stop.replace("/u/", "/preferences/"), "preferences-dark", scheme="dark")
        tongues(browser, f"{bridge}/subscribe")
        page.request.post(stop, form={"List-Unsubscribe": "One-Click"})
        joins(page, bridge, sandbox, "bram@krant-lezer.example", "newsletter")
        time.sleep(3)  # until both platforms were told
        page = browser.new_page(viewport=DESKTOP)
        page.goto(sandbox)
        page.screenshot(path=IMAGES / "sandbox.png")
        page.click(f"text={AN}")
        page.screenshot(path=IMAGES / "sandbox-reader.png")
        for name in ("mailchimp", "sendgrid"):
            connected(browser, settings, name)
        page.request.post(f"{sandbox}/control/reset")
        first_day(browser, page, sandbox, settings)
        browser.close()


if __name__ == "__main__":
    main()
