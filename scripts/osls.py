"""Get what the tests need besides Python packages: osls and axe by npm, wheels for Lambda. `make test` calls this."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent

#: The lines for whoever has none; tests that are not run give the same reasons.
NO_OSLS = "no osls: serverless.yml is not packaged by the tests; install Node 20.19 or newer with npm and try again"
NO_AXE = "no axe-core: the checker of pages is not run; install Node 20.19 or newer with npm and try again"
NO_WHEELS = "no wheels for AWS Lambda: its zip is not tested; make them to be had from the package index and try again"

_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


#: The checker of pages, for the browser tests.
AXE = HOUSE / "node_modules" / "axe-core" / "axe.min.js"


def has_tools() -> bool:
    """Whether osls and axe are there, installed now if need be: exactly the locked versions, and no script of theirs is
    run.
    """
    if (HOUSE / "node_modules" / ".bin" / "osls").exists() and AXE.is_file():
        return True
    npm = shutil.which("npm")
    if npm is None:
        return False
    print("installing osls and axe for the tests ...", flush=True)
    return runs(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")


def has_wheels() -> bool:
    """Whether there are wheels: for this machine, and for Lambda's own Python on the other processor."""
    mine, version = _MACHINES.get(platform.machine().lower(), ""), f"{sys.version_info.major}.{sys.version_info.minor}"
    script = str(HOUSE / "scripts" / "lambda_zip.py")
    wanted = [(mine, version)] if mine else []
    wanted.append(("x86_64" if mine == "arm64" else "arm64", "3.13"))
    return all(runs(sys.executable, script, "--fetch", "--arch", arch, "--python", v) for arch, v in wanted)


def runs(*command: str) -> bool:
    """One program."""
    try:
        done = subprocess.run(command, cwd=HOUSE, capture_output=True, timeout=900, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


if __name__ == "__main__":
    if not has_tools():
        print(f"{NO_OSLS}\n{NO_AXE}")
    if not has_wheels():
        print(NO_WHEELS)
