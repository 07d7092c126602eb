"""The zip for AWS Lambda, built for this machine's Python and processor; kept until anything that goes into it changes."""

import fcntl
import hashlib
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.osls import NO_WHEELS

HERE = Path(__file__).resolve().parent.parent
POLICY = HERE / "templates" / "demo"
ARCH = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine().lower(), "")
OTHER = "x86_64" if ARCH == "arm64" else "arm64"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def script(*words: str) -> "subprocess.CompletedProcess[str]":
    """The script that builds."""
    command = [sys.executable, str(HERE / "scripts" / "lambda_zip.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def has_wheels(arch: str, python: str) -> bool:
    """Whether there are wheels to build from, fetched now if need be."""
    return bool(arch) and not script("--fetch", "--arch", arch, "--python", python).returncode


def build(out: Path, arch: str = ARCH, python: str = PYTHON, *more: str, policy: Path = POLICY) -> Path:
    """Build one."""
    if not has_wheels(arch, python):
        pytest.skip(NO_WHEELS)
    done = script("--policy", str(policy), "--arch", arch, "--python", python, "--out", str(out), *more)
    assert done.returncode == 0, done.stderr
    return out / f"lambda-{arch}.zip"


def kept() -> Path:
    """The zip for this machine."""
    told = hashlib.sha256(f"{ARCH} {PYTHON}".encode())
    tops = [HERE / name for name in ("bridge", "adapters", "templates")]
    files = sorted(path for top in tops for path in top.rglob("*") if path.is_file() and path.suffix != ".pyc")
    for path in (HERE / "pins" / "lambda.txt", HERE / "pyproject.toml", HERE / "scripts" / "lambda_zip.py", *files):
        told.update(path.read_bytes() + str(path.relative_to(HERE)).encode())
    folder = HERE / "build" / "tests"
    packed = folder / f"{told.hexdigest()[:16]}.zip"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:  # several workers want it
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not packed.exists():
            for old in folder.glob("*.zip"):
                old.unlink()
            build(folder / "new").rename(packed)
            shutil.rmtree(folder / "new")
    return packed
