"""The built zip on the real runtime client of AWS Lambda, from sign-up to one click (issue 7, points 0 and 5).

Around it: an HTTP API (payload 2.0), SQS and Secrets Manager played by moto, PostgreSQL, the sandbox's ESPs and mailbox.
"""

import json
import os
import shutil
import socket
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from bridge.bootstrap import Bridge
from bridge.cli.demo import _process, _wait, find_sandbox, free_port
from bridge.cli.story import Story
from bridge.links import Action, Claim
from bridge.store.verify import verify
from bridge.texts import TEMPLATES
from bridge.vault import new_key
from bridge.vocabulary import EventType
from tests.aws import Played, played
from tests.lambda_emu import Failed, Function, HttpApi, Running, event_of, provide, pump
from tests.postgres import Door, Server
from tests.zips import HERE, kept

RINGS = ("BRIDGE_LINK_KEYS", "BRIDGE_VAULT_KEYS", "BRIDGE_SEAL_KEYS")

#: What stands in the secret; the functions are told only where.
SECRET = (
    *RINGS,
    "BRIDGE_DATABASE_URL",
    "BRIDGE_MAIL_URL",
    "MAILCHIMP_API_KEY",
    "MAILCHIMP_WEBHOOK_SECRET",
    "SENDGRID_API_KEY",
)


class Cloud(NamedTuple):
    """Everything that runs."""

    aws: Played
    api: HttpApi
    functions: Mapping[str, Function]
    sandbox: str
    settings: dict[str, str]
    bridge: Bridge
    rings: str
    parked: str
    server: Server
    door: Door
    folder: Path
    start: Callable[..., Function]

    def rung(self) -> tuple[int, int]:
        """Answer what rang."""
        return pump(self.aws, self.rings, self.functions["worker"])

    def waiting(self, queue: str) -> int:
        """How many messages are in a queue, given out or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        told = self.aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return sum(int(told[name]) for name in names)

    def connections(self, name: str) -> int:
        """How many connections to the database programs of that name hold now."""
        url = self.settings["BRIDGE_DATABASE_URL"].replace("postgresql+psycopg://", "postgresql://")
        with psycopg.connect(url, autocommit=True) as db:
            told = db.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [name]).fetchone()
        return int((told or (0,))[0])

    def migrated_to(self, revision: str) -> str:
        """Say that the database is at another schema; gives the one before."""
        url = self.settings["BRIDGE_DATABASE_URL"].replace("postgresql+psycopg://", "postgresql://")
        with psycopg.connect(url, autocommit=True) as db:
            (before,) = db.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
            db.execute("UPDATE alembic_version SET version_num = %s", (revision,))
        return str(before)

    def gone(self, away: bool) -> None:
        """Take the database away, with every connection to it; or give it back."""
        if away:
            self.door.shut()
        else:
            self.door.to = self.server.socket

    def clicked(self, function: str, link: str) -> int:
        """One click of a mail program; the status of the answer."""
        event = event_of("POST", link, {"Content-Type": FORM_TYPE}, FORM)
        return int(self.functions[function].invoke(event)["statusCode"])

    def heard_all(self) -> None:
        """Every parked stop is written."""
        while self.waiting(self.parked):
            pump(self.aws, self.parked, self.functions["worker"])

    def written(self) -> list[Path]:
        """Everything that is kept of anybody, as files: each table, the messages in each queue, what functions log."""
        url = self.settings["BRIDGE_DATABASE_URL"].replace("postgresql+psycopg://", "postgresql://")
        kept = self.folder / "kept"
        kept.mkdir(exist_ok=True)
        with psycopg.connect(url) as db:
            for (table,) in db.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall():
                with db.cursor().copy(SQL("COPY {} TO STDOUT").format(Identifier(table))) as rows:
                    (kept / table).write_bytes(b"".join(bytes(row) for row in rows))
        for queue in (self.rings, self.parked):
            (kept / queue.rpartition("/")[2]).write_text("".join(self.aws.held(queue)))
        return [*kept.iterdir(), *(function.log for function in self.functions.values())]

    def relay(self) -> Any:
        """The timetable's minute."""
        return self.functions["scheduled"].invoke({"job": "relay"})


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The zip, unpacked and started as serverless.yml says, on an empty database that it migrates itself."""
    if sys.platform != "linux":
        pytest.skip("AWS Lambda is Linux: here its zip is built, and not run")
    folder = tmp_path_factory.mktemp("lambda")
    with zipfile.ZipFile(kept()) as packed:
        packed.extractall(folder / "task")
    with ExitStack() as stack:
        server = stack.enter_context(closing(Server()))
        door = stack.enter_context(closing(Door(server.socket)))
        server.do("CREATE DATABASE lambda")
        aws, api = stack.enter_context(played()), HttpApi()
        stack.callback(api.stop)
        sandbox = find_sandbox()(folder, free_port(), api.url)
        rings, parked = aws.queue("rings", VisibilityTimeout="1"), aws.queue("parked", VisibilityTimeout="0")
        told = {
            **{ring: new_key("k1") for ring in RINGS},
            "BRIDGE_DATABASE_URL": door.url("lambda"),
            **sandbox.settings(),
        }
        plain = {"BRIDGE_BASE_URL": api.url, "BRIDGE_POLICY": str(TEMPLATES / "demo" / "policy.toml"), **told}
        arn = aws.secret("consent-bridge", {key: told[key] for key in SECRET})
        shared = {
            **{key: value for key, value in told.items() if key not in SECRET},
            **{f"{key}_ARN": f"{arn}:{key}::" for key in SECRET},
            **aws.environment,
            "BRIDGE_POLICY": "policy/policy.toml",
            "BRIDGE_BASE_URL": api.url,
            "BRIDGE_NUDGE": f"sqs:{rings}",
            "BRIDGE_SPOOL": f"sqs:{parked}",
        }
        provided = provide(folder / "provided")
        functions: dict[str, Function] = {}

        def start(named: str, handler: str, seen: Callable[[], object] | None = None, **more: str) -> Function:
            log, environment = folder / f"{named}.log", {**shared, **more}
            made = Function(named, f"bridge.handlers.{handler}", folder / "task", provided, environment, log, seen)
            functions[named] = made
            stack.callback(made.stop)
            return made

        start("migrate", "worker.migrate")
        assert functions["migrate"].invoke({})["changed"] is True
        assert functions["migrate"].invoke({})["changed"] is False
        start("web", "web.handler")
        start("stops", "web.handler")
        for named, handler in (("worker", "worker"), ("scheduled", "scheduled")):
            start(named, f"worker.{handler}", BRIDGE_NUDGE="none")
        api.routes, api.default = [("/u/", functions["stops"]), ("/webhooks/", functions["stops"])], functions["web"]
        stack.enter_context(_process(sandbox.command(), {**os.environ, **plain}, folder / "sandbox.log"))
        _wait(f"{sandbox.url}/control/healthz", folder / "sandbox.log")
        bridge = Bridge.from_env({**plain, "BRIDGE_NUDGE": f"sqs:{rings}", **aws.environment})
        stack.callback(bridge.close)
        yield Cloud(aws, api, functions, sandbox.url, plain, bridge, rings, parked, server, door, folder, start)


class Told(Story):
    """The demo's story, told to the functions; questions are put to the store itself, not by a command. What staff does is
    done by commands, on another machine."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud.api.url, cloud.sandbox, {**os.environ, **cloud.settings}, cloud.folder)
        self._cloud = cloud

    def _ours(self) -> list[Path]:
        return self._cloud.written()

    def _may(self, email: str, purpose: str = "newsletter") -> Any:
        answer = self._cloud.bridge.store.may_mail(email, purpose)
        return {"may": answer.may, "status": answer.status.value, "why": list(answer.why)}


def test_the_ring_alone_brings_the_mail(cloud: Cloud) -> None:
    """Sign-up on the web function, doorbell by SQS, mail by the worker: no timetable is needed."""
    story = Told(cloud)
    story._subscribe("eerste@krant-lezer.example", "newsletter")
    handled, failed = cloud.rung()
    assert (handled, failed) == (1, 0)
    story._confirm_url = story._link(story._mail("eerste@krant-lezer.example", "/confirm/"), "/confirm/")
    story._hold(story._post_url(story._confirm_url, {}).status == 200, "the button did not work")
    assert cloud.rung() == (1, 0)


def test_the_whole_story_holds_on_lambda(cloud: Cloud) -> None:
    """Sign-up, scanner, confirm, both ESPs, preferences, one click, signed webhooks, erasure, verify, and nothing of her
    left in any table, queue or log (RGT-04): every step of the demo."""
    with Running([cloud.rung, cloud.relay]) as running:
        assert Told(cloud).play() == 0
    assert running.errors == []


FORM_TYPE = "application/x-www-form-urlencoded"
FORM, PARTS = (
    b"List-Unsubscribe=One-Click",
    (b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'),
)


@pytest.mark.parametrize(
    ("number", "kind", "body", "encoded"),
    [
        (1, "application/x-www-form-urlencoded", FORM, True),
        (2, "application/x-www-form-urlencoded", FORM, False),
        (3, "multipart/form-data; boundary=x", PARTS, True),
        (4, "multipart/form-data; boundary=x", PARTS, False),
        (5, "text/plain", FORM, False),
        (6, "application/json", FORM, False),
        (7, "application/octet-stream", FORM, True),
        (8, "", FORM, True),
        (9, "", b"", False),
    ],
)
def test_one_click_stops_in_every_encoding(cloud: Cloud, number: int, kind: str, body: bytes, encoded: bool) -> None:
    """RFC 8058, WDR-05: form and multipart, as base64 or as they are, odd content types and none."""
    email = f"lezer{number}@krant-lezer.example"
    url = stop_link(cloud, email, consented(cloud, email))
    headers = {"Content-Type": kind} if kind else {}
    told = cloud.functions["stops"].invoke(event_of("POST", url, headers, body, encoded=encoded))
    assert told["statusCode"] == 200
    assert "location" not in {name.lower() for name in told["headers"]}
    assert not told.get("cookies")
    assert not cloud.bridge.store.may_mail(email, "newsletter").may
    assert cloud.bridge.store.may_mail(email, "newsletter").status == "withdrawn"


def stop_link(cloud: Cloud, email: str, subject: str) -> str:
    """The path of her one-click link."""
    links, now = cloud.bridge.links, cloud.bridge.clock()
    claim = Claim(action=Action.STOP, subject=subject, address=links.mark(email), made=now, purpose="newsletter")
    return links.url("/u/", links.token(claim)).removeprefix(cloud.api.url)


def consented(cloud: Cloud, email: str) -> str:
    """Somebody who signed up through the pages and confirmed; her id."""
    from urllib.parse import urlencode

    story = Told(cloud)
    story._subscribe(email, "newsletter")
    pump(cloud.aws, cloud.rings, cloud.functions["worker"])
    url = urlsplit(story._link(story._mail(email, "/confirm/"), "/confirm/")).path
    told = cloud.functions["web"].invoke(event_of("POST", url, {"Accept": "text/html"}, urlencode({}).encode()))
    assert told["statusCode"] == 200
    assert cloud.bridge.store.may_mail(email, "newsletter").may
    person = cloud.bridge.store.person(email)
    assert person is not None
    return str(person.id)


def test_a_message_that_fails_is_the_only_one_to_come_again(cloud: Cloud) -> None:
    """Partial batch failures: garbage is a ring for whatever is due; a parked stop of nobody's is done."""
    records = [{"messageId": "a", "body": "[]"}, {"messageId": "b", "body": "no json"}, {"messageId": "c"}]
    assert cloud.functions["worker"].invoke({"Records": records}) == {"batchItemFailures": [{"itemIdentifier": "c"}]}


def test_the_timetable_has_its_figures_and_refuses_what_it_does_not_know(cloud: Cloud) -> None:
    """Alarms read the log: one line of JSON in CloudWatch's embedded format, counts only."""
    scheduled = cloud.functions["scheduled"]
    assert scheduled.invoke({"job": "clock"}) == {"job": "clock", "done": 0}
    line = next(line for line in scheduled.log.read_text().splitlines() if '"_aws"' in line)
    told = json.loads(line)
    (about,) = told["_aws"]["CloudWatchMetrics"]
    assert {metric["Name"] for metric in about["Metrics"]} <= told.keys()
    assert told["FunctionName"] == "scheduled"
    with pytest.raises(Failed, match="no such job: relay"):
        scheduled.invoke({"job": "nonsense"})


def test_the_nightly_jobs_run_on_one_connection(cloud: Cloud) -> None:
    """Comparing with both platforms, and forgetting, on a function's single connection."""
    for job in ("reconcile", "forget", "purge", "relay"):
        assert cloud.functions["scheduled"].invoke({"job": job})["job"] == job


def test_reports_and_seals_leave_by_mail(cloud: Cloud) -> None:
    """ORG-01, CAP-06: a department's report on its day, and a checkpoint, each to whom the policy names."""
    policy = cloud.folder / "departments"
    shutil.copytree(TEMPLATES / "demo", policy)
    with (policy / "policy.toml").open("a") as file:
        file.write(
            '\n[reports]\nsupport = ["balie@krant.example"]\n\n[checkpoints]\nmail = ["notaris@kantoor.example"]\n'
        )
    nightly = cloud.start("nightly", "worker.scheduled", BRIDGE_POLICY=str(policy / "policy.toml"))
    assert nightly.invoke({"job": "reports"}) == {"job": "reports", "done": 1}
    assert nightly.invoke({"job": "checkpoint"}) == {"job": "checkpoint", "done": 1}
    assert nightly.invoke({"job": "checkpoint"}) == {"job": "checkpoint", "done": 0}, "not due again yet"
    story = Told(cloud)
    for address, name in (("balie@krant.example", "report-support-"), ("notaris@kantoor.example", "checkpoint-1.json")):
        (mail,) = story._control_get("mails", to=address)
        assert [one for one in mail["attachments"] if name in str(one)]


def test_a_stop_while_the_database_is_away_waits_in_the_queue(cloud: Cloud) -> None:
    """Decision 21: answered 200, parked as opaque ids and its time, written when the database is back; the connection
    that was lost meanwhile is noticed before its use (point 4)."""
    email = "storm@krant-lezer.example"
    url = stop_link(cloud, email, consented(cloud, email))
    cloud.gone(True)
    try:
        told = cloud.functions["stops"].invoke(event_of("POST", url, {"Content-Type": FORM_TYPE}, FORM))
        assert told["statusCode"] == 200
        assert cloud.functions["web"].invoke(event_of("GET", "/readyz", {}))["statusCode"] == 503
        assert pump(cloud.aws, cloud.parked, cloud.functions["worker"]) == (0, 1), "it stays in the queue"
    finally:
        cloud.gone(False)
    (body,) = cloud.aws.messages(cloud.parked)
    assert email not in body
    assert url.rpartition("/")[2] not in body
    cloud.aws.client("sqs").send_message(QueueUrl=cloud.parked, MessageBody=body)
    cloud.aws.client("sqs").send_message(QueueUrl=cloud.parked, MessageBody=body)  # told twice is heard once
    handled = 0
    while handled < 2:
        handled += pump(cloud.aws, cloud.parked, cloud.functions["worker"])[0]
    assert cloud.bridge.store.may_mail(email, "newsletter").status == "withdrawn"
    person = cloud.bridge.store.person(email)
    assert person is not None
    stops = [event for event in cloud.bridge.store.story(person) if event.type is EventType.WITHDRAWN]
    assert len({event.time for event in stops}) == 1, "told twice says nothing else"
    assert stops[0].time < cloud.bridge.clock()
    assert cloud.functions["web"].invoke(event_of("GET", "/readyz", {}))["statusCode"] == 200


def test_no_stop_is_lost_when_the_database_crashes_under_load(cloud: Cloud) -> None:
    """Point 4: two functions take clicks while PostgreSQL is killed, and begins again. Each click is answered 200, those
    that it could not take are parked; in the end each is in the store, and the history is whole."""
    emails = [f"stroom{number}@krant-lezer.example" for number in range(12)]
    links = [stop_link(cloud, email, consented(cloud, email)) for email in emails]
    answers, moments = list[int](), {number: threading.Event() for number in (3, 10)}
    stopped, beginning = threading.Event(), threading.Event()
    cloud.start("stops-2", "web.handler")

    def click(function: str, mine: list[str]) -> None:
        for link in mine:
            if len(answers) >= 6:
                stopped.wait(60)
            if len(answers) >= 10:
                beginning.wait(60)
            answers.append(cloud.clicked(function, link))
            for number, moment in moments.items():
                if len(answers) >= number:
                    moment.set()

    halves = zip(("stops", "stops-2"), (links[:6], links[6:]), strict=True)
    threads = [threading.Thread(target=click, args=half, daemon=True) for half in halves]
    for thread in threads:
        thread.start()
    moments[3].wait(60)
    cloud.server.stop("immediate")  # in the middle of clicks
    stopped.set()
    moments[10].wait(60)
    beginning.set()
    cloud.server.start()
    for thread in threads:
        thread.join(60)
    assert answers == [200] * 12
    assert cloud.waiting(cloud.parked) >= 3, "of the clicks meanwhile, which the database could not take"
    cloud.heard_all()
    assert {str(cloud.bridge.store.may_mail(email, "newsletter").status) for email in emails} == {"withdrawn"}
    assert verify(cloud.bridge.database, cloud.bridge.vault).problems == ()


def test_no_stop_is_lost_when_another_server_takes_over(cloud: Cloud) -> None:
    """Point 4: the server that was written to is a standby now, which answers and takes no writes (SQLSTATE 25006); then
    its name leads to the other, while the connection to the old one stays open. A function that was told so once lets go
    of it: else it would ask the wrong one for hours."""
    emails = [f"wissel{number}@krant-lezer.example" for number in range(4)]
    links = [stop_link(cloud, email, consented(cloud, email)) for email in emails]
    with closing(cloud.server.demoted()) as other:
        assert cloud.clicked("stops", links[0]) == 200, "parked: a standby takes nothing"
        preferences = event_of("GET", links[1].replace("/u/", "/preferences/"), {"Accept": "text/html"})
        assert cloud.functions["stops"].invoke(preferences)["statusCode"] == 200, (
            "read there; that connection stays open"
        )
        cloud.door.to = other.socket
        assert cloud.clicked("stops", links[1]) == 200
        assert cloud.waiting(cloud.parked) == 2
        assert [cloud.clicked("stops", link) for link in links[2:]] == [200, 200]
        assert cloud.waiting(cloud.parked) == 2, "written at once, by the new server"
        cloud.heard_all()
        store = cloud.bridge.store
        assert {str(store.may_mail(email, "newsletter").status) for email in emails} == {"withdrawn"}
        assert verify(cloud.bridge.database, cloud.bridge.vault).problems == ()
        with cloud.bridge.database.engine.connect() as db, socket.socket(fileno=os.dup(db.connection.fileno())) as line:
            told = line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            assert told == 5000, "ms: nor does anybody wait long for a server that is gone without a word"
        cloud.door.shut()
    (Path(cloud.server.home) / "standby.signal").unlink()  # and back, for the tests that follow
    cloud.server.stop("fast")
    cloud.server.start()
    cloud.gone(False)


def test_before_the_database_is_migrated_a_stop_waits_too(cloud: Cloud) -> None:
    """New code on an old schema, between a deployment and its `migrate`: pages answer 503, a stop is parked."""
    email = "vroeg@krant-lezer.example"
    url = stop_link(cloud, email, consented(cloud, email))
    now = cloud.migrated_to("0001")
    early = cloud.start("early", "web.handler")
    try:
        assert early.invoke(event_of("POST", url, {"Content-Type": FORM_TYPE}, FORM))["statusCode"] == 200
        assert early.invoke(event_of("GET", "/preferences", {"Accept": "text/html"}))["statusCode"] == 200
        assert (
            early.invoke(event_of("POST", "/preferences", {"Content-Type": FORM_TYPE}, b"email=a%40b.example"))[
                "statusCode"
            ]
            == 503
        )
    finally:
        cloud.migrated_to(now)
    assert cloud.bridge.store.may_mail(email, "newsletter").may
    assert pump(cloud.aws, cloud.parked, cloud.functions["worker"]) == (1, 0)
    assert not cloud.bridge.store.may_mail(email, "newsletter").may
    assert (
        early.invoke(event_of("POST", "/preferences", {"Content-Type": FORM_TYPE}, b"email=a%40b.example"))[
            "statusCode"
        ]
        == 200
    )


def test_a_snapshot_holds_no_connection_and_a_function_one(cloud: Cloud) -> None:
    """SnapStart: what is taken up a hundred times must not be one line to the database, in the middle of a talk. Once it
    is up it holds one, whatever it is asked for (point 4)."""
    seen = list[int]()
    more = {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start", "PGAPPNAME": "snapped"}
    function = cloud.start("snapped", "web.handler", lambda: seen.append(cloud.connections("snapped")), **more)
    assert seen == [0]
    for path in ("/readyz", "/subscribe", "/preferences", "/privacy"):
        assert function.invoke(event_of("GET", path, {}))["statusCode"] == 200
        assert cloud.connections("snapped") == 1


def test_a_new_key_is_taken_up_by_whoever_sends(cloud: Cloud) -> None:
    """KEY-03: a key that the database names by now is read from the secret again; nothing is sent without it. Pages that
    lack it say so at `/readyz` until they are started anew (README: `restart`)."""
    told = {**cloud.settings, "BRIDGE_VAULT_KEYS": f"{new_key('k2')},{cloud.settings['BRIDGE_VAULT_KEYS']}"}
    with closing(Bridge.from_env({**told, "BRIDGE_NUDGE": "none"})) as other:
        other.ready()
        with pytest.raises(
            Failed, match=r"relay: vault key 'k2' is named by the database but not by BRIDGE_VAULT_KEYS"
        ):
            cloud.relay()
        cloud.aws.client("secretsmanager").put_secret_value(
            SecretId="consent-bridge", SecretString=json.dumps({key: told[key] for key in SECRET})
        )
        assert cloud.relay()["job"] == "relay"
        assert cloud.functions["web"].invoke(event_of("GET", "/readyz", {}))["statusCode"] == 503
        assert cloud.start("anew", "web.handler").invoke(event_of("GET", "/readyz", {}))["statusCode"] == 200


def test_a_wrong_secret_stops_the_start_with_one_line(cloud: Cloud) -> None:
    """The setting is named in the log, never its value."""
    arn = cloud.aws.secret("wrong", {**{key: cloud.settings[key] for key in SECRET}, "BRIDGE_VAULT_KEYS": "k1:s3cret"})
    with pytest.raises(Failed, match="BRIDGE_VAULT_KEYS") as caught:
        cloud.start("wrong", "web.handler", BRIDGE_VAULT_KEYS_ARN=f"{arn}:BRIDGE_VAULT_KEYS::")
    assert "s3cret" not in str(caught.value)


def test_nothing_of_anybodys_is_in_any_log_or_queue(cloud: Cloud) -> None:
    """MIN-03: no address, token or key in what functions log, on the whole way above."""
    told = "".join(function.log.read_text(errors="replace") for function in cloud.functions.values())
    assert "lezer" not in told.replace("krant-lezer.example", "lezer")
    for name in SECRET:
        value = cloud.settings[name]
        assert value not in told
        assert value.rpartition(":")[2] not in told or name == "BRIDGE_DATABASE_URL"


def test_it_was_this_zip_that_ran(cloud: Cloud) -> None:
    """Nothing of the checkout, and no package of the tests, was within reach."""
    assert str(HERE) not in "".join(function.log.read_text() for function in cloud.functions.values())
