"""What each road loads, up to and including its first request: nothing that it does not need (issue 3, point 6).

Each question is put to a fresh interpreter. The lists of packages are exact: one that comes or goes fails here, and has
to be argued where it is named. (Style 2.10, decision 30.)
"""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.conftest import Clock, House, Reader

ROOT = Path(__file__).resolve().parent.parent

SDKS = ("mailchimp_marketing", "sendgrid", "python_http_client")
TESTS = ("moto", "hypothesis", "pytest", "aiosmtpd", "responses", "playwright", "openapi_core")

#: What every road needs: the policy (msgspec), links (itsdangerous), sealing (cryptography with cffi), words and dates
#: (babel, jinja2 with markupsafe), the store (sqlalchemy with typing_extensions). click speaks for the commands; Flask
#: brings it to the web as well.
HOUSE = {
    *("msgspec", "itsdangerous", "cryptography", "_cffi_backend", "babel", "jinja2", "markupsafe", "sqlalchemy"),
    *("typing_extensions", "click"),
}

#: An address that somebody types, which commands are made for.
TYPED = {"email_validator", "idna"}

#: Pages and webhooks: Flask, and what Flask stands on.
WEB = HOUSE | {"flask", "werkzeug", "blinker"}

#: The driver, where the database is PostgreSQL.
DRIVER = {"psycopg", "psycopg_binary"}

#: What telling an ESP loads there: its SDK, and what that stands on.
SDK_OF = {
    "mailchimp": {"mailchimp_marketing", "requests", "urllib3", "certifi", "charset_normalizer", "idna", "six"},
    "sendgrid": {"sendgrid", "python_http_client"},
    "memory": set[str](),
}

#: Not of a road's own: setuptools' shim, loaded by every virtual environment, the zone database of machines that have
#: none themselves, and what requests takes where the tests' runtime client of AWS brought it.
NOT_OURS = {"_distutils_hack", "tzdata", "simplejson"}

#: Loaded on no road: migrations, translators' tools, the ORM, name servers, the sandbox, Amazon's SDK, test libraries.
NEVER = {
    *("alembic", "mako", "babel.messages", "sqlalchemy.orm", "dns", "adapters.sandbox", "boto3", "botocore", "granian"),
    *TESTS,
}

TELL = """
import json, sys, sysconfig
there = tuple(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
found = [name.partition(".")[0] for name, module in list(sys.modules.items())
         if (getattr(getattr(module, "__spec__", None), "origin", None) or "").startswith(there)]
print(json.dumps([sorted(sys.modules), sorted(set(found))]))
"""


class Loaded(NamedTuple):
    """What an interpreter had loaded at the end: every module, and the installed packages that they are of."""

    modules: set[str]
    packages: set[str]


def load(script: str, environment: dict[str, str] | None = None) -> Loaded:
    """Run a script in a fresh interpreter."""
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **(environment or {})}
    command = [sys.executable, "-c", script + TELL]
    done = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    modules, packages = json.loads(done.stdout.splitlines()[-1])
    return Loaded(set(modules), set(packages) - NOT_OURS)


def loaded(script: str, environment: dict[str, str] | None = None) -> set[str]:
    """The names of all modules that are loaded after this script."""
    return load(script, environment).modules


# -- the roads ---------------------------------------------------------------------------------------------------

NOBODY = "http://127.0.0.1:9"  # the port for nothing: a call to the ESP is tried and finds nobody

#: An ESP -> its settings, and what says in the policy where a purpose lives there.
SETTINGS = {
    "mailchimp": {
        "MAILCHIMP_API_KEY": "0123456789abcdef0123456789abcdef-us21",
        "MAILCHIMP_BASE_URL": NOBODY,
        "MAILCHIMP_WEBHOOK_SECRET": "a-long-path-secret-only-for-tests-0123456789",
    },
    "sendgrid": {"SENDGRID_API_KEY": "SG.only-for-tests", "SENDGRID_BASE_URL": NOBODY},
    "memory": {"MEMORY_WEBHOOK_SECRET": "a-secret-only-for-tests"},
}
PLACES = {
    "mailchimp": 'audience = "a1b2c3d4e5"\ninterest = "11aa22bb3{number}"',
    "sendgrid": 'list = "7f0c8a52-0c6e-4f6e-9a01-00000000000{number}"\ngroup = "10{number}"',
    "memory": 'list = "{name}"',
}

#: The process that `serve --no-dispatch` starts: everything checked, then the first request.
SERVE = """
from bridge.handlers.server import application
client = application().test_client()
def send(method, path, **more):
    answer = client.open(path, method=method, **more)
    assert answer.status_code in (200, 204), (answer.status_code, answer.data)
"""

DISPATCH = """
from bridge.cli import main
main(["dispatch", "--once"], standalone_mode=False)
"""


class Scene(NamedTuple):
    """A house at one ESP: how to start it, and the link of a reader who said yes there."""

    environment: dict[str, str]
    stop: str

    def serves(self, method: str, path: str, **more: object) -> Loaded:
        """What the web process has loaded after this first request."""
        return load(f"{SERVE}send({method!r}, {path!r}, **{more!r})", self.environment)

    def dispatches(self) -> Loaded:
        """What `consent-bridge dispatch --once` has loaded at its end."""
        return load(DISPATCH, self.environment)


@pytest.fixture
def live(
    make_house: Callable[..., House], policy_folder: Path, environment: dict[str, str], clock: Clock
) -> Callable[[str, str], Scene]:
    """Settle at an ESP: `live("sendgrid", url)`. Mails and pushes wait. The clock goes: other programs are asked."""

    def settle(adapter: str, url: str) -> Scene:
        clock.now = datetime.now(UTC) - timedelta(hours=1)
        an = Reader(make_house(url), "an@lezer.example").has_consented()
        stop = an.link("/u/")
        move_to(adapter, policy_folder)
        settings = {**SETTINGS[adapter], "BRIDGE_ADAPTERS": adapter, "CONSENT_BRIDGE_NO_DISPATCH": "1"}
        there = make_house(url, **settings)
        assert there.client.post(stop).status_code == 200
        Reader(there, "bram@lezer.example").signs_up()
        return Scene(there.environment, stop)

    return settle


def move_to(adapter: str, policy_folder: Path) -> None:
    """Write another ESP into the policy of the tests."""
    file = policy_folder / "policy.toml"
    text = file.read_text(encoding="utf-8").replace("at.memory]", f"at.{adapter}]")
    text = text.replace('adapter = "memory"', f'adapter = "{adapter}"')
    for number, name in enumerate(("newsletter", "offers"), start=1):
        text = text.replace(f'list = "{name}"', PLACES[adapter].format(name=name, number=number))
    file.write_text(text, encoding="utf-8")


def of_esps(found: Loaded) -> set[str]:
    """The adapters that were loaded."""
    return {name for name in ("mailchimp", "sendgrid", "memory") if f"adapters.{name}" in found.modules}


@pytest.mark.parametrize("adapter", ["mailchimp", "sendgrid"])
def test_a_page_view_loads_no_sdk(live: Callable[[str, str], Scene], sqlite_url: str, adapter: str) -> None:
    """From start to the first preference page: no SDK, no migrations, no translators' tools, no other ESP's adapter."""
    scene = live(adapter, sqlite_url)
    found = scene.serves("GET", scene.stop.replace("/u/", "/preferences/"))
    assert found.packages == WEB
    assert of_esps(found) == {adapter}
    assert not found.modules & NEVER


def test_one_click_loads_no_sdk(live: Callable[[str, str], Scene], sqlite_url: str) -> None:
    """WDR-05, WDR-10: the first request is a mail program's stop."""
    scene = live("sendgrid", sqlite_url)
    found = scene.serves("POST", scene.stop, data={"List-Unsubscribe": "One-Click"})
    assert found.packages == WEB
    assert not found.modules & NEVER


def test_mailchimps_webhook_loads_no_sdk(live: Callable[[str, str], Scene], sqlite_url: str) -> None:
    """HOOK-01: the first request is Mailchimp's news that she left there."""
    scene = live("mailchimp", sqlite_url)
    news = {"type": "unsubscribe", "fired_at": "2026-11-23 10:00:00", "data[email]": "an@lezer.example"}
    path = f"/webhooks/mailchimp/{SETTINGS['mailchimp']['MAILCHIMP_WEBHOOK_SECRET']}"
    found = scene.serves("POST", path, data={**news, "data[list_id]": "a1b2c3d4e5"})
    assert found.packages == WEB
    assert of_esps(found) == {"mailchimp"}
    assert not found.modules & NEVER


def test_sendgrids_webhook_loads_no_sdk(live: Callable[[str, str], Scene], sqlite_url: str) -> None:
    """HOOK-01: the first request is SendGrid's signed news of a complaint."""
    scene = live("sendgrid", sqlite_url)
    pair = ec.generate_private_key(ec.SECP256R1())
    public = pair.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    scene.environment["SENDGRID_WEBHOOK_PUBLIC_KEY"] = base64.b64encode(public).decode()
    body = json.dumps([{"email": "an@lezer.example", "timestamp": 1795000000, "event": "spamreport"}]).encode()
    signature = base64.b64encode(pair.sign(b"1795000000" + body, ec.ECDSA(hashes.SHA256()))).decode()
    name = "X-Twilio-Email-Event-Webhook"
    signed = {f"{name}-Signature": signature, f"{name}-Timestamp": "1795000000"}
    found = scene.serves("POST", "/webhooks/sendgrid", data=body, headers=signed)
    assert found.packages == WEB
    assert of_esps(found) == {"sendgrid"}
    assert not found.modules & NEVER


@pytest.mark.parametrize("adapter", ["mailchimp", "sendgrid", "memory"])
def test_a_dispatch_round_loads_one_sdk(live: Callable[[str, str], Scene], sqlite_url: str, adapter: str) -> None:
    """One round with mails and news to tell: the SDK of the ESP that is on, no Flask, nothing of another ESP."""
    found = live(adapter, sqlite_url).dispatches()
    assert found.packages == HOUSE | TYPED | SDK_OF[adapter]
    assert of_esps(found) == {adapter}
    assert "smtplib" in found.modules, "mails were due"
    assert not found.modules & (NEVER | {"bridge.web.app"})


#: AWS Lambda: what the runtime asks of the module before the first event, and that event.
ON_LAMBDA = """
from bridge.handlers import {module} as place
class Context:
    aws_request_id = "1"
    def get_remaining_time_in_millis(self):
        return 100_000
answer = place.{name}({event!r}, Context())
assert answer.get("statusCode", 200) == 200, answer
"""


@pytest.mark.parametrize(
    ("adapter", "name", "event"),
    [
        ("mailchimp", "scheduled", {"job": "relay"}),
        ("sendgrid", "worker", {"Records": [{"messageId": "1", "body": "[]"}]}),
    ],
)
def test_the_worker_on_lambda_loads_no_flask(
    live: Callable[[str, str], Scene], sqlite_url: str, adapter: str, name: str, event: dict[str, object]
) -> None:
    """Issue 7, point 0: mails and news to tell, one SDK, no Flask, no commands, nothing of Amazon's."""
    script = ON_LAMBDA.format(module="worker", name=name, event=event)
    found = load(script, live(adapter, sqlite_url).environment)
    assert found.packages == HOUSE - {"click"} | SDK_OF[adapter]
    assert "smtplib" in found.modules, "mails were due"
    assert not found.modules & (NEVER | {"bridge.web.app", "flask", "werkzeug", "apig_wsgi"})


def test_the_pages_on_lambda_load_what_the_pages_do(live: Callable[[str, str], Scene], sqlite_url: str) -> None:
    """Issue 7, point 6: the first request is a mail program's stop: Flask, no adapter, no SDK, nothing that sends."""
    from tests.lambda_emu import event_of

    scene = live("sendgrid", sqlite_url)
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    event = event_of("POST", scene.stop, kind, b"List-Unsubscribe=One-Click")
    found = load(ON_LAMBDA.format(module="web", name="handler", event=event), scene.environment)
    assert found.packages == WEB | {"apig_wsgi"}
    assert not of_esps(found), "no news of any came yet"
    assert not found.modules & (NEVER | {"bridge.jobs.dispatch", "bridge.access", "smtplib", "babel.dates"})


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_postgresql_adds_its_driver_alone(live: Callable[[str, str], Scene], database_url: str) -> None:
    """The same roads on the other database."""
    scene = live("memory", database_url)
    assert scene.serves("GET", scene.stop).packages == WEB | DRIVER
    assert scene.dispatches().packages == HOUSE | TYPED | DRIVER


def test_a_house_without_adapters_loads_none(environment: dict[str, str], sqlite_url: str) -> None:
    """Cold starts: pages and a sign-up without a single adapter; what tells news is loaded by the dispatcher."""
    bare = {**environment, "BRIDGE_DATABASE_URL": sqlite_url, "BRIDGE_ADAPTERS": "", "CONSENT_BRIDGE_NO_DISPATCH": "1"}
    box = {"email": "an@lezer.example", "purpose": "newsletter", "channel": "footer", "language": "nl"}
    found = load(
        f"{SERVE}send('GET', '/subscribe'); send('POST', '/subscribe', data={box!r}); send('GET', '/readyz')", bare
    )
    assert found.packages == WEB | TYPED
    assert not of_esps(found)
    assert not found.modules & NEVER


# -- the rooms ---------------------------------------------------------------------------------------------------


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
