"""Pictures of every page in every state, in four widths, by day and by night: `python scripts/gallery.py [PAGE ...]`.

They land in build/gallery with an index.html to leaf through; nothing of it is committed.
"""

import argparse
import logging
import sys
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from playwright.sync_api import Browser, sync_playwright

from scripts.chromium import MISSING, find
from tests.browser import ARGUMENTS
from tests.gallery import LANGUAGES, Sheet, hung, mails, pages

HOUSE = Path(__file__).resolve().parent.parent
OUT = HOUSE / "build" / "gallery"
WIDTHS = {320: 640, 390: 844, 768: 1024, 1280: 900}
SCHEMES = ("light", "dark")

INDEX = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Every page</title><style>
body {{ margin: 2rem; font: 1rem/1.5 system-ui; background: #ccc }} img {{ max-width: 20rem; vertical-align: top }}
</style><h1>Every page in every state</h1>{}"""


def draw(browser: Browser, url: str, sheets: Iterable[Sheet]) -> None:
    """Every sheet in every width and light; the index names each."""
    OUT.mkdir(parents=True, exist_ok=True)
    drawn = []
    for width, height in WIDTHS.items():
        page = browser.new_page(viewport={"width": width, "height": height})
        page.goto(f"{url}/page/en/link/0")
        for sheet in sheets:
            page.set_content(sheet.html)
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                name = f"{sheet.kind}-{sheet.name}-{sheet.number}-{sheet.language}-{width}-{scheme}.png"
                page.screenshot(path=OUT / name, full_page=True)
                drawn.append((sheet.title, name))
        page.close()
    shown = [f'<h2>{escape(title)}</h2><img src="{name}" alt="{name}" loading="lazy">' for title, name in sorted(drawn)]
    (OUT / "index.html").write_text(INDEX.format("\n".join(shown)), encoding="utf-8")
    print(f"{len(drawn)} pictures: {OUT / 'index.html'}")


def main(words: Sequence[str] | None = None) -> None:
    """All, or the pages that are named."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("names", nargs="*", help="only these pages")
    asked.add_argument("--language", choices=LANGUAGES, default="en")
    told = asked.parse_args(words)
    program = find()
    if program is None:
        raise SystemExit(MISSING)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    sheets = [*pages(told.language), *mails(told.language)]
    with hung() as url, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=ARGUMENTS)
        draw(browser, url, [sheet for sheet in sheets if not told.names or sheet.name in told.names])
        browser.close()


if __name__ == "__main__":
    main()
