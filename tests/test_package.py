"""The built package: what is installed starts by itself, with every file it needs, far from the checkout."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from bridge.vault import new_key

HOUSE = Path(__file__).resolve().parent.parent
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built without a network."""
    out = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(out)]
    subprocess.run([*PIP, "wheel", *options, str(HOUSE)], check=True, timeout=120)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([*PIP, "install", "--no-deps", "--no-index", "--target", str(folder), str(wheel)], check=True)
    return folder


def run(installed: Path, *words: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """A program that finds our code only in that folder: not in the checkout, and not by the checkout's link."""
    code = (
        f"import sys; sys.path[:] = [{str(installed)!r}, *(p for p in sys.path if p not in ('', {str(HOUSE)!r}))]\n"
        "import runpy, bridge; assert bridge.__file__.startswith(sys.path[0]), bridge.__file__\n"
        "sys.argv[0] = 'consent-bridge'; runpy.run_module('bridge.cli', run_name='__main__')"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("BRIDGE_", "PYTHON"))}
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=installed.parent,
        env={**clean, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_it_holds_every_file_it_needs(wheel: Path) -> None:
    """Templates, wordings, catalogues, styles and migrations are inside; tests, keys and papers are not."""
    with ZipFile(wheel) as packed:
        names = set(packed.namelist())
    wanted = {
        str(path.relative_to(HOUSE))
        for top in ("bridge", "adapters", "templates")
        for path in (HOUSE / top).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert len(wanted) > 100
    assert wanted - names == set()
    others = {name for name in names - wanted if ".dist-info/" not in name}
    assert others == set()


def test_its_entry_points_are_the_adapters_and_transports(wheel: Path) -> None:
    """Adapters, roads for mail and the command are found by entry point, so a package without them is empty."""
    with ZipFile(wheel) as packed:
        name = next(name for name in packed.namelist() if name.endswith("entry_points.txt"))
        told = packed.read(name).decode()
    for line in (
        "consent-bridge = bridge.cli:main",
        "mailchimp = adapters.mailchimp:Mailchimp",
        "sendgrid = adapters.sendgrid:SendGrid",
        "smtp = bridge.smtp:Smtp",
        "sandbox = adapters.sandbox:Sandbox",
    ):
        assert line in told


def test_the_installed_command_starts(installed: Path) -> None:
    """`consent-bridge --help` from the installed folder."""
    done = run(installed, "--help")
    assert done.returncode == 0, done.stderr
    assert "consent-bridge demo" in done.stdout


def test_a_new_house_is_begun_with_it(installed: Path, tmp_path: Path) -> None:
    """`init`, `db upgrade` and `db check` work from the package: starter, catalogues and migrations are found."""
    begun = run(installed, "init", str(tmp_path / "list"))
    assert begun.returncode == 0, begun.stderr
    settings = {
        "BRIDGE_POLICY": str(tmp_path / "list" / "policy.toml"),
        "BRIDGE_DATABASE_URL": f"sqlite:///{tmp_path / 'consent.db'}",
        "BRIDGE_BASE_URL": "http://127.0.0.1:8080",
        "BRIDGE_MAIL_URL": "smtp://127.0.0.1:1",
        "BRIDGE_LINK_KEYS": new_key("link1"),
        "BRIDGE_VAULT_KEYS": new_key("vault1"),
    }
    early = run(installed, "db", "check", **settings)
    assert early.returncode == 1
    assert "consent-bridge db upgrade" in early.stderr
    upgraded = run(installed, "db", "upgrade", **settings)
    assert upgraded.returncode == 0, upgraded.stderr
    assert "is now at schema" in upgraded.stdout
    checked = run(installed, "db", "check", **settings)
    assert checked.returncode == 0, checked.stderr
    verified = run(installed, "verify", **settings)
    assert "the history is whole" in verified.stdout, verified.stderr
