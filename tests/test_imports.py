"""What a page view loads: no ESP's library, no migrations, nothing of the tests (style 2.10, decision 30).

Each question is put to a fresh interpreter.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import House

ROOT = Path(__file__).resolve().parent.parent

SDKS = ("mailchimp_marketing", "sendgrid", "python_http_client")
TESTS = ("hypothesis", "pytest", "aiosmtpd", "responses", "playwright", "openapi_core")


def loaded(script: str, environment: dict[str, str] | None = None) -> set[str]:
    """The top names of all modules that are loaded after this script."""
    told = f"{script}\nimport sys; print(' '.join(sys.modules))"
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **(environment or {})}
    command = [sys.executable, "-c", told]
    done = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.fixture
def bare(environment: dict[str, str], sqlite_url: str) -> dict[str, str]:
    """Settings of a house without any adapter."""
    return {**environment, "BRIDGE_DATABASE_URL": sqlite_url, "BRIDGE_ADAPTERS": ""}


SERVE = """
from bridge.bootstrap import Bridge
from bridge.web.app import create_app
bridge = Bridge.from_env()
app = create_app(bridge)
client = app.test_client()
assert client.get("/healthz").status_code == 200
assert client.get("/subscribe").status_code == 200
answer = client.post("/subscribe", data={"email": "an@lezer.example", "purpose": "newsletter", "channel": "footer", "language": "nl"})
assert answer.status_code == 200, answer.status
"""


def test_a_house_without_adapters_loads_no_esps_library(bare):
    """Cold starts: pages, a sign-up and a start with all checks, without a single SDK."""
    names = loaded(SERVE + "bridge.ready()", bare)
    assert not names & {*SDKS, *TESTS, "adapters", "granian", "boto3"}


def test_a_page_view_loads_no_migrations(bare):
    """Alembic is for a start and for `db`, on no request road."""
    names = loaded(SERVE, bare)
    assert not names & {"alembic", "mako", *SDKS, *TESTS}
    assert not {name for name in names if name.startswith(("adapters.", "bridge.cli", "bridge.migrations"))}


@pytest.mark.parametrize(
    ("adapter", "loads", "leaves"),
    [
        ("mailchimp", "adapters.mailchimp", "adapters.sendgrid"),
        ("sendgrid", "adapters.sendgrid", "adapters.mailchimp"),
        ("memory", "adapters.memory", "adapters.mailchimp"),
    ],
)
def test_an_adapter_is_loaded_only_when_switched_on(bare, policy_folder, adapter, loads, leaves):
    """Only the one that is named."""
    file = policy_folder / "policy.toml"
    text = (
        file.read_text().replace("at.memory]", f"at.{adapter}]").replace('adapter = "memory"', f'adapter = "{adapter}"')
    )
    places = {
        "mailchimp": 'audience = "a1b2c3d4e5"\ninterest = "{}"',
        "sendgrid": 'list = "7f0c8a52-0c6e-4f6e-9a01-00000000000{n}"\ngroup = "10{n}"',
        "memory": 'list = "{}"',
    }[adapter]
    for number, (name, interest) in enumerate((("newsletter", "11aa22bb33"), ("offers", "44cc55dd66")), start=1):
        place = places.replace("{n}", str(number)).replace("{}", interest if adapter == "mailchimp" else name)
        text = text.replace(f'list = "{name}"', place)
    file.write_text(text)
    keys = {
        "MAILCHIMP_API_KEY": "0123456789abcdef0123456789abcdef-us21",
        "MAILCHIMP_WEBHOOK_SECRET": "a-long-path-secret-only-for-tests-0123456789",
        "SENDGRID_API_KEY": "SG.only-for-tests",
    }
    names = loaded(SERVE + "_ = bridge.adapters", {**bare, **keys, "BRIDGE_ADAPTERS": adapter})
    assert loads in names
    assert leaves not in names
    assert not names & set(SDKS), "an SDK is loaded by the first call, not by a page view"


@pytest.mark.parametrize(
    "module",
    ["bridge.vocabulary", "bridge.decide", "bridge.adapter", "bridge.policy", "bridge.links", "bridge.vault"],
)
def test_the_ground_floor_is_light(module):
    """The rules know only words: no web, no database, no templates."""
    names = loaded(f"import {module}")
    assert not names & {"flask", "sqlalchemy", "alembic", "jinja2", "click", *SDKS, *TESTS}


def test_help_is_quick():
    """A command line that only explains itself loads neither web server nor SDK."""
    script = "from click.testing import CliRunner; from bridge.cli import main; CliRunner().invoke(main, ['--help'])"
    assert not loaded(script) & {"granian", "alembic", *SDKS, *TESTS}


@pytest.mark.parametrize("part", ["bridge", "adapters"])
def test_nothing_happens_on_import(part: str, tmp_path: Path) -> None:
    """Style 2.10: nothing is read from the environment, opened or connected; every module can be imported."""
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / part).rglob("*.py"))
        if path.stem not in ("__main__", "env") and "versions" not in path.parts
    ]
    script = f"""
import sys
def watch(event, told):
    if event in ("socket.connect", "socket.bind", "sqlite3.connect", "subprocess.Popen"):
        raise RuntimeError(event)
    if event == "open" and isinstance(told[1], str) and set(told[1]) & set("wax+"):
        raise RuntimeError("writes " + str(told[0]))
sys.dont_write_bytecode = True
sys.addaudithook(watch)
import importlib
for name in {modules!r}:
    importlib.import_module(name)
"""
    loaded(script, {"BRIDGE_BASE_URL": "nonsense", "BRIDGE_ADAPTERS": "nonsense"})


def test_the_house_itself_still_stands(home: House) -> None:
    """So that the refusals above are not refusals of everything."""
    assert home.client.get("/readyz").status_code == 200
