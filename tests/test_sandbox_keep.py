"""With `--keep` the sandbox is what an ESP is: cut its power and it comes back as it was."""

import hashlib
import os
import signal
import smtplib
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from adapters.sandbox import Sandbox
from adapters.sandbox.keep import Kept
from bridge.cli.demo import free_port

AN = "an@krant-lezer.example"
NEWSLETTER, LIST = "11aa22bb33", "7f0c8a52-0c6e-4f6e-9a01-000000000001"
MEMBER = f"/mailchimp/3.0/lists/a1b2c3d4e5/members/{hashlib.md5(AN.encode()).hexdigest()}"
LOGIN = {"Authorization": "Bearer key-us1"}


class Toy:
    """One sandbox whose power is cut again and again."""

    def __init__(self, folder: Path, bridge: str) -> None:
        self.sandbox = Sandbox(folder, free_port(), bridge)
        self.keep = folder / "esps.db"
        self.process: subprocess.Popen[bytes] | None = None
        self.begin()

    def begin(self) -> None:
        """Start it, with what it knew."""
        command = [*self.sandbox.command(), "--keep", str(self.keep)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout
        assert self.process.stdout.readline()

    def dies(self) -> None:
        """As a power cut."""
        assert self.process
        assert self.process.stdout
        self.process.kill()
        assert self.process.wait(10) == -signal.SIGKILL
        self.process.stdout.close()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call, which has to be answered well."""
        answer = requests.request(method, self.sandbox.url + path, json=body, headers=LOGIN, timeout=10)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def person(self) -> Any:
        """How An stands at both."""
        return self.call("GET", f"/control/people?email={AN}")


class Ear(BaseHTTPRequestHandler):
    """Takes webhooks, or is away."""

    heard: list[bytes] = []  # noqa: RUF012  (one list for all calls)
    away = True

    def do_POST(self) -> None:
        """Hear one."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.away:
            self.heard.append(body)
        self.send_response(503 if self.away else 204)
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        """Be quiet."""


@pytest.fixture
def ear() -> Iterator[str]:
    """An address that hears webhooks."""
    Ear.heard, Ear.away = [], True
    server = HTTPServer(("127.0.0.1", 0), Ear)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def toy(tmp_path: Path, ear: str) -> Iterator[Toy]:
    """A sandbox that keeps everything."""
    toy = Toy(tmp_path, ear)
    yield toy
    toy.dies()


@contextmanager
def soon() -> Iterator[Any]:
    """A condition that must come true within ten seconds."""
    end = time.monotonic() + 10

    def wait(look: Any) -> None:
        while not look():
            assert time.monotonic() < end
            time.sleep(0.02)

    yield wait


def test_people_stops_and_mails_are_there_after_a_power_cut(toy: Toy) -> None:
    """Decision 25's other side: what an ESP answered for it knows for ever."""
    toy.call("PUT", MEMBER, {"email_address": AN, "status_if_new": "subscribed", "interests": {NEWSLETTER: True}})
    toy.call("POST", "/sendgrid/v3/asm/groups/101/suppressions", {"recipient_emails": [AN]})
    with smtplib.SMTP("127.0.0.1", toy.sandbox.port + 1) as smtp:
        smtp.sendmail("us@post.example", [AN], "Message-ID: <one@post.example>\r\nSubject: hello\r\n\r\nhello\r\n")
    before, mails = toy.person(), toy.call("GET", f"/control/mails?to={AN}")
    assert before["mailchimp"]["receives"] == ["newsletter"]

    toy.dies()
    toy.begin()

    assert toy.person() == before
    assert toy.call("GET", f"/control/mails?to={AN}") == mails
    assert toy.call("GET", "/control/letters") == [{"to": AN, "message_id": "<one@post.example>"}]


def test_a_job_is_done_or_still_open(toy: Toy) -> None:
    """Decision 24: what was promised before the cut is done after it, once."""
    toy.call("POST", "/control/esp", {"esp": "sendgrid", "mode": "pending"})
    job = toy.call("PUT", "/sendgrid/v3/marketing/contacts", {"list_ids": [LIST], "contacts": [{"email": AN}]})[
        "job_id"
    ]
    assert not toy.person()["sendgrid"]["present"]
    batch = {"operations": [{"method": "PUT", "path": MEMBER.removeprefix("/mailchimp/3.0"), "body": "{}"}]}
    started = toy.call("POST", "/mailchimp/3.0/batches", batch)["id"]

    toy.dies()
    toy.begin()

    with soon() as wait:
        wait(lambda: toy.call("GET", f"/sendgrid/v3/marketing/contacts/imports/{job}")["status"] == "completed")
        wait(lambda: toy.call("GET", f"/mailchimp/3.0/batches/{started}")["status"] == "finished")
    assert toy.person()["sendgrid"]["lists"] == ["newsletter"]


def test_news_that_nobody_took_is_told_after_the_cut(toy: Toy) -> None:
    """HOOK-01: an ESP tries again until somebody says 2xx; a cut of its own power changes nothing about that."""
    toy.call("PUT", MEMBER, {"email_address": AN, "status_if_new": "subscribed"})
    toy.call("POST", "/control/act", {"esp": "mailchimp", "email": AN, "act": "unsubscribe"})
    toy.dies()
    Ear.away = False
    toy.begin()
    with soon() as wait:
        wait(lambda: toy.call("GET", "/control/healthz")["waiting"]["news"] == 0)
    (told,) = Ear.heard
    assert b"type=unsubscribe" in told
    assert toy.person()["mailchimp"]["status"] == "unsubscribed"


def test_the_file_is_its_owners_alone_and_a_new_one_has_the_seeds(toy: Toy) -> None:
    """MIN-03: it holds addresses of the play."""
    assert toy.keep.stat().st_mode & 0o077 == 0
    assert toy.call("GET", "/mailchimp/3.0/lists/a1b2c3d4e5")["id"] == "a1b2c3d4e5"
    assert os.access(toy.keep, os.R_OK)


def test_a_kept_dictionary_knows_what_may_have_changed() -> None:
    """Only that is looked at again, so that a call costs the same however many people there are."""
    people = Kept({"an": 1, "bram": 2, "carla": 3})
    people.touched.clear()
    assert list(people.values()) == [1, 2, 3]
    assert not people.touched
    people["an"] = 4
    people.pop("bram")
    people.get("carla")
    people.setdefault("dirk", 5)
    assert people.touched == {"an", "bram", "carla", "dirk"}
    people.touched.clear()
    people.clear()
    assert people.touched == {"an", "carla", "dirk"}
