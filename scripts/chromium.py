"""Find a Chromium for the browser tests, or get one: `make test` calls this. Quick when one is there.

Out of sight a headless shell does: the same engine without windows, for half of the work. `--to-watch` wants windows.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

_SHELL = "chromium-headless-shell"
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "microsoft-edge-stable")
_KEPT = ("chrome", "Chromium", "chrome.exe")
_KEPT_SHELLS = ("chrome-headless-shell", "headless_shell", "chrome-headless-shell.exe", "headless_shell.exe")
_MAC = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)

#: The one line for whoever has none; tests that are not run give the same reason.
MISSING = "no Chromium: browser tests are not run, install one (or set CHROMIUM to its program) and try again"


def find(*, to_watch: bool = False) -> str | None:
    """The program of a Chromium that is there: $CHROMIUM, the system's, or the one Playwright keeps."""
    told = os.environ.get("CHROMIUM")
    if told:
        return told if shutil.which(told) else None
    for name in (*_NAMES, *_MAC) if to_watch else (_SHELL, *_NAMES, *_MAC):
        if path := shutil.which(name):
            return path
    kept = {path.name: str(path) for path in sorted(_kept().glob("chromium*-*/*/*"))}  # of several the newest
    return next((kept[name] for name in (*(() if to_watch else _KEPT_SHELLS), *_KEPT) if name in kept), None)


def _kept() -> Path:
    """Where Playwright keeps its browsers."""
    if told := os.environ.get("PLAYWRIGHT_BROWSERS_PATH"):
        return Path(told)
    places = {"darwin": "Library/Caches/ms-playwright", "win32": "AppData/Local/ms-playwright"}
    return Path.home() / places.get(sys.platform, ".cache/ms-playwright")


def get(*, to_watch: bool = False) -> str | None:
    """Install one: Debian's package where we may, else Playwright's."""
    if os.environ.get("CHROMIUM"):
        return None  # somebody chose a program that is not there: nothing is installed behind her back
    if _may_use_apt():
        print("installing Chromium for the browser tests ...", flush=True)
        _runs("apt-get", "update", "-qq")
        fonts = () if _has_fonts() else ("fonts-dejavu-core", "fonts-liberation")
        for package in ("chromium",) if to_watch else (_SHELL, "chromium"):
            if _runs("apt-get", "install", "-y", "-qq", "--no-install-recommends", package, *fonts):
                break
    if found := find(to_watch=to_watch):
        return found
    print("fetching Chromium for the browser tests ...", flush=True)
    _runs(sys.executable, "-m", "playwright", "install", "--no-shell" if to_watch else "--only-shell", "chromium")
    found = find(to_watch=to_watch)
    return found if found and _runs(found, "--version", "--no-sandbox") else None


def _may_use_apt() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def _has_fonts() -> bool:
    return any(Path("/usr/share/fonts").glob("**/*.[ot]tf"))


def _runs(*command: str) -> bool:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=900, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


if __name__ == "__main__":
    watched = "--to-watch" in sys.argv
    if not (find(to_watch=watched) or get(to_watch=watched)):
        print(MISSING)
