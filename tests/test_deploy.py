"""What `deploy/` holds is sound as far as can be seen without installing it (issue 7, points 9 and 10): unit files,
proxies and the container file. `test_plain_server.py` runs what the units run.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.settings import SETTINGS, read_settings
from tests.conftest import House
from tests.programs import ROOT

DEPLOY = ROOT / "deploy"
PROGRAMS = "/opt/consent-bridge/current/.venv/bin/"
SERVICES = sorted(DEPLOY.glob("*.service"))
PAGE = (ROOT / "docs" / "plain-server.md").read_text(encoding="utf-8")


def unit(path: Path) -> dict[str, list[str]]:
    """The settings of a unit file; lines that go on are one."""
    found: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").replace("\\\n", "").splitlines():
        name, sign, value = line.partition("=")
        if sign and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_a_service_has_no_more_rights_than_it_needs(path: Path) -> None:
    """Not root, no new rights, nothing to write to but its own folder; programs of ours with their real words."""
    told = unit(path)
    for name, value in {
        "User": "consent-bridge", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes",
        "PrivateTmp": "yes", "CapabilityBoundingSet": "", "UMask": "0077", "StateDirectoryMode": "0700",
        "WorkingDirectory": "/var/lib/consent-bridge",
    }.items():  # fmt: skip
        assert told[name] == [value], name
    assert told["StateDirectory"][0].split()[0] == "consent-bridge"
    (command,) = told["ExecStart"]
    assert PROGRAMS in command
    if told["Type"] != ["oneshot"]:
        assert told["Restart"] == ["always"]
        assert int(told["TimeoutStopSec"][0]) >= 30, "more than a program takes to end in good order"


def test_systemd_itself_finds_no_fault(tmp_path: Path) -> None:
    """`systemd-analyze verify` and `security`, where it is; the programs are stood in for, as they are not installed."""
    tool = shutil.which("systemd-analyze")
    if tool is None:
        print("systemd-analyze is not on this machine: unit files were only read by us")  # named, not skipped
        return
    for path in DEPLOY.iterdir():
        if path.suffix in (".service", ".socket", ".timer"):
            (tmp_path / path.name).write_text(re.sub(rf"{PROGRAMS}[\w-]+", "/bin/true", path.read_text()))
    units = [str(path) for path in sorted(tmp_path.iterdir())]
    done = subprocess.run([tool, "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for path in SERVICES:
        command = [tool, "security", "--offline=true", "--threshold=20", str(tmp_path / path.name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-200:]


def test_every_file_has_its_place_on_the_page() -> None:
    """Nothing lies there that the page does not name, and it names nothing else."""
    named = {Path(name).name for name in re.findall(r"deploy/[\w.-]*\w", PAGE)}
    assert named == {path.name for path in DEPLOY.iterdir()}


def test_credentials_are_settings_that_are_read_from_files(home: House, tmp_path: Path) -> None:
    """`LoadCredential` hands each over as a file, and the `NAME_FILE` form reads it: the same settings come out."""
    told = unit(DEPLOY / "credentials.conf")
    places = dict(line.split("=", 1) for line in told["Environment"])
    loaded = dict(line.split(":", 1) for line in told["LoadCredential"])
    assert set(places.values()) == {f"%d/{name}" for name in loaded}
    environment = {name: value for name, value in home.environment.items() if f"{name}_FILE" not in places}
    for name, place in places.items():
        secret = name.removesuffix("_FILE")
        assert secret in SETTINGS
        file = tmp_path / place.removeprefix("%d/")
        file.write_text(home.environment.get(secret, "") + "\n")
        environment[name] = str(file)
    read = read_settings(environment)
    assert read.vault_keys == home.bridge.settings.vault_keys
    assert read.link_keys == home.bridge.settings.link_keys
    assert read.database_url == home.bridge.settings.database_url


def test_credentials_are_handed_to_every_service() -> None:
    """Whose secrets are no longer in `.env` needs them from systemd: the backup each night too, or there is none."""
    told = (DEPLOY / "credentials.conf").read_text(encoding="utf-8")
    assert set(re.findall(r"([\w-]+\.service)\.d/credentials\.conf", told)) == {path.name for path in SERVICES}


@pytest.mark.parametrize("name", ["nginx.conf", "Caddyfile"])
def test_a_proxy_logs_no_path_and_no_sender(name: str) -> None:
    """MIN-03, WEB-02: a path holds a token. Bodies as large as a webhook's pass; what clients say of themselves does not."""
    text = re.sub(r"^\s*#.*$", "", (DEPLOY / name).read_text(), flags=re.MULTILINE)
    if name == "nginx.conf":
        (form,) = re.findall(r"log_format consent_bridge '([^']*)'", text)
        assert set(re.findall(r"\$(\w+)", form)) == {
            *(
                "time_iso8601",
                "request_method",
                "status",
                "body_bytes_sent",
                "request_time",
                "upstream_http_x_request_id",
            ),
        }
        assert {log.split()[-1] for log in re.findall(r"access_log (.*);", text)} == {"off", "consent_bridge"}
        assert set(re.findall(r"error_log (.*);", text)) == {"/dev/null emerg"}
        headers = (DEPLOY / "nginx-headers.conf").read_text()
        assert "proxy_set_header X-Forwarded-For $remote_addr;" in headers
        assert text.count("include /etc/nginx/consent-bridge-headers.conf;") == text.count("proxy_pass ") == 3
        assert "client_max_body_size 12m;" in text.partition("location /webhooks/")[2].partition("}")[0]
        assert text.count("{") == text.count("}")
    else:
        assert "exclude http.log.error" in text
        assert not re.search(r"^\s*log\b", text.partition("your-domain")[2], re.MULTILINE), "no access log"
        assert "header_up X-Forwarded-For {remote_host}" in text
        assert text.count("{") == text.count("}")


# -- the container ------------------------------------------------------------------------------------------------


def steps() -> list[tuple[str, str]]:
    """The container file's instructions."""
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8").replace("\\\n", "")
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in text.splitlines() if line and line[0] != "#"]


def test_the_container_holds_what_it_needs_and_no_more(tmp_path: Path) -> None:
    """In a clean folder with just what is copied the program installs without an index, and can be started."""
    copied = [value.split() for word, value in steps() if word == "COPY" and not value.startswith("--from")]
    let_through = set((ROOT / ".dockerignore").read_text().splitlines())
    source, target = tmp_path / "src", tmp_path / "venv"
    source.mkdir()
    for *sources, place in copied:
        for name in sources:
            assert (ROOT / name).exists(), name
            assert f"!{name}" in let_through, name
            to = source / (name if place == "./" else place)
            to.parent.mkdir(parents=True, exist_ok=True)
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, to, ignore=ignore) if (ROOT / name).is_dir() else shutil.copy(ROOT / name, to)
    (ours,) = [value for word, value in steps() if word == "RUN" and "--no-deps" in value]
    options = ours.partition("install ")[2].split()
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--target", str(target), *options]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (target / "bridge" / "handlers" / "gunicorn.py").is_file()
    assert (target / "templates" / "starter" / "policy.toml").is_file()
    assert (target / "bin" / "consent-bridge").is_file()


def test_the_container_is_nobody_and_says_how_it_is() -> None:
    """Not root, a base with a name of its own, hashes for all it installs, its health asked, ended by SIGTERM."""
    by = dict(steps())
    bases = [value.split()[0] for word, value in steps() if word == "FROM"]
    assert len(set(bases)) == 1
    assert re.fullmatch(r"docker\.io/library/python:3\.\d+-slim-\w+", bases[0])
    assert any("--require-hashes -r pins/run.txt" in value for word, value in steps() if word == "RUN")
    assert by["USER"] == "10001"
    assert by["STOPSIGNAL"] == "SIGTERM"
    told = json.loads(by["HEALTHCHECK"].partition("CMD ")[2])
    compile(told[-1], "the health check", "exec")
    assert "/healthz" in told[-1]
    assert json.loads(by["CMD"])[:3] == ["gunicorn", "--config", "python:bridge.handlers.gunicorn"]
    pins = (ROOT / "pins" / "run.txt").read_text()
    assert re.search(r"^gunicorn==", pins, re.MULTILINE)
