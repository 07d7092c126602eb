"""Find a Chromium for the browser tests, or get one: `make test` calls this. Quick when one is there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "microsoft-edge-stable")
_MAC = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)

#: The one line for whoever has none; tests that are not run give the same reason.
MISSING = "no Chromium: browser tests are not run, install one (or set CHROMIUM to its program) and try again"


def find() -> str | None:
    """The program of a Chromium that is there: $CHROMIUM, the system's, or the one Playwright keeps."""
    told = os.environ.get("CHROMIUM")
    if told:
        return told if shutil.which(told) else None
    for name in (*_NAMES, *_MAC):
        if path := shutil.which(name):
            return path
    kept = sorted(_kept().glob("chromium-*/*/*"), reverse=True)
    return next((str(path) for path in kept if path.name in ("chrome", "Chromium", "chrome.exe")), None)


def _kept() -> Path:
    """Where Playwright keeps its browsers."""
    if told := os.environ.get("PLAYWRIGHT_BROWSERS_PATH"):
        return Path(told)
    places = {"darwin": "Library/Caches/ms-playwright", "win32": "AppData/Local/ms-playwright"}
    return Path.home() / places.get(sys.platform, ".cache/ms-playwright")


def get() -> str | None:
    """Install one: Debian's package where we may, else Playwright's."""
    if os.environ.get("CHROMIUM"):
        return None  # somebody chose a program that is not there: nothing is installed behind her back
    if _may_use_apt():
        print("installing Chromium for the browser tests ...", flush=True)
        _runs("apt-get", "update", "-qq")
        packages = ["chromium"] if _has_fonts() else ["chromium", "fonts-dejavu-core", "fonts-liberation"]
        _runs("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)
    if found := find():
        return found
    print("fetching Chromium for the browser tests ...", flush=True)
    _runs(sys.executable, "-m", "playwright", "install", "chromium")
    found = find()
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
    if not (find() or get()):
        print(MISSING)
