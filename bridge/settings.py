"""The settings: from environment variables, files and secrets of AWS, read once and checked before anything is put
together.
"""

import getpass
from collections.abc import Mapping, Sequence
from contextlib import closing
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from bridge.aws import Aws, AwsError, Secrets, is_there
from bridge.doorbell import is_known, is_queue
from bridge.seals import SIZE
from bridge.vault import Key, parse_keys

LOOPBACK = ("localhost", "127.0.0.1", "::1")

#: Every setting of ours, and whether it may be left out.
SETTINGS: Mapping[str, str | None] = {
    "BRIDGE_POLICY": "policy.toml",
    "BRIDGE_DATABASE_URL": "sqlite:///consent.db",
    "BRIDGE_BASE_URL": None,
    "BRIDGE_LINK_KEYS": None,
    "BRIDGE_VAULT_KEYS": None,
    "BRIDGE_SEAL_KEYS": "",
    "BRIDGE_TRUSTED_PROXIES": "0",
    "BRIDGE_OPERATOR": "",
    "BRIDGE_MAIL_URL": None,
    "BRIDGE_ADAPTERS": "",
    "BRIDGE_DNS": "",
    "BRIDGE_NUDGE": "inline",
    "BRIDGE_SPOOL": "",
    "BRIDGE_METRICS_TOKEN": "",
    "BRIDGE_LOG_LEVEL": "INFO",
    "BRIDGE_LOG_FORMAT": "text",
}
_FIXES = {
    "BRIDGE_BASE_URL": "set it to where readers reach the pages, such as https://preferences.your-domain.example",
    "BRIDGE_LINK_KEYS": "make one with: consent-bridge keys new",
    "BRIDGE_VAULT_KEYS": "make one with: consent-bridge keys new",
    "BRIDGE_MAIL_URL": "set it to your mail server, such as smtp://user:password@mail.your-domain.example:587",
}
_NOT_OURS = ("BRIDGE_TEST_",)
_LONGEST_BASE = 100
_SHORTEST_SECRET = 16


class BadSetting(Exception):
    """A setting is missing, unknown or out of range; the text names it and the fix."""


class MissingSetting(BadSetting):
    """A setting that has no default is nowhere."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings, read once and checked."""

    policy: Path
    database_url: str
    base_url: str
    link_keys: Sequence[Key]
    vault_keys: Sequence[Key]
    seal_keys: Sequence[Key]
    trusted_proxies: int
    operator: str
    mail_url: str
    adapters: tuple[str, ...]
    dns: str
    nudge: str
    spool: str
    metrics_token: str
    log_level: str
    log_format: str
    environment: Mapping[str, str]


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Check every setting, or raise `BadSetting` for the first that is wrong."""
    told = _with_secrets(_with_files(environment))
    for name in told:
        if name.startswith("BRIDGE_") and name not in SETTINGS and not name.startswith(_NOT_OURS):
            near = get_close_matches(name, SETTINGS, n=1)
            raise BadSetting(f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else ""))
    values = {name: told.get(name, "") or default for name, default in SETTINGS.items()}
    missing = [name for name, text in values.items() if text is None]
    if missing:
        raise MissingSetting(f"{missing[0]} is missing: {_FIXES[missing[0]]}")
    value = {name: text or "" for name, text in values.items()}
    return Settings(
        policy=Path(value["BRIDGE_POLICY"]),
        database_url=_database_url(value["BRIDGE_DATABASE_URL"]),
        base_url=_base_url(value["BRIDGE_BASE_URL"]),
        link_keys=_keys("BRIDGE_LINK_KEYS", value),
        vault_keys=_keys("BRIDGE_VAULT_KEYS", value),
        seal_keys=_seal_keys(value) if value["BRIDGE_SEAL_KEYS"] else [],
        trusted_proxies=_number("BRIDGE_TRUSTED_PROXIES", value, 0, 10),
        operator=value["BRIDGE_OPERATOR"] or _login(),
        mail_url=value["BRIDGE_MAIL_URL"],
        adapters=tuple(dict.fromkeys(name.strip() for name in value["BRIDGE_ADAPTERS"].split(",") if name.strip())),
        dns=_server("BRIDGE_DNS", value),
        nudge=_nudge(value["BRIDGE_NUDGE"]),
        spool=_spool(value["BRIDGE_SPOOL"]),
        metrics_token=_secret("BRIDGE_METRICS_TOKEN", value),
        log_level=_one_of("BRIDGE_LOG_LEVEL", value, ("DEBUG", "INFO", "WARNING", "ERROR")),
        log_format=_one_of("BRIDGE_LOG_FORMAT", value, ("text", "json")),
        environment=told,
    )


def read_env_file(path: Path) -> dict[str, str]:
    """`NAME=value` lines; `#` begins a comment line, quotes around a value are taken off."""
    found = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise BadSetting(f"{path.name} is not UTF-8: save it as UTF-8") from None
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, sign, value = text.removeprefix("export ").partition("=")
        if not sign:
            raise BadSetting(f"{path.name}, line {number}: write NAME=value")
        found[name.strip()] = value.strip().strip("\"'")
    return found


def _with_files(environment: Mapping[str, str]) -> dict[str, str]:
    """`NAME_FILE=path` as `NAME=content`: secrets that are mounted as files."""
    found = dict(environment)
    for ours in (True, False):  # ours first: they say which adapters there are
        for name in [name for name in found if name.startswith("BRIDGE_") is ours]:
            if _is_named_by(name, "_FILE", found):
                found[name.removesuffix("_FILE")] = _content(name, found)
                del found[name]
    return found


def _with_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """`NAME_ARN=arn` as `NAME=value`: what AWS Secrets Manager keeps, each secret read once however often named."""
    found = dict(environment)
    with closing(Aws(found)) as aws:
        _read_secrets(found, Secrets(aws))
    return found


def _read_secrets(found: dict[str, str], secrets: Secrets) -> None:
    for ours in (True, False):  # as above
        for name in [name for name in found if name.startswith("BRIDGE_") is ours]:
            if not _is_named_by(name, "_ARN", found):
                continue
            plain = name.removesuffix("_ARN")
            if found.get(plain):
                raise BadSetting(f"{plain} and {name} are both set: keep one")
            if not is_there(found):
                raise BadSetting(f"{name} is read on AWS only; here set {plain} or its _FILE form")
            try:
                found[plain] = secrets.read(found[name])
            except AwsError as error:
                raise BadSetting(f"{name}: the secret cannot be read ({error})") from None
            del found[name]


def _is_named_by(name: str, suffix: str, environment: Mapping[str, str]) -> bool:
    """Whether this is another form of a setting of ours, or of a secret of an adapter or mail road in use."""
    plain = name.removesuffix(suffix)
    if plain == name or plain in SETTINGS:
        return plain != name
    adapters = environment.get("BRIDGE_ADAPTERS", "").split(",")
    used = [*adapters, environment.get("BRIDGE_MAIL_URL", "").partition(":")[0]]
    mine = any(plain.startswith(f"{name.strip().upper()}_") for name in used if name.strip())
    return mine and plain.rpartition("_")[2] in ("KEY", "KEYS", "SECRET")


def _content(name: str, environment: Mapping[str, str]) -> str:
    plain = name.removesuffix("_FILE")
    if environment.get(plain):
        raise BadSetting(f"{plain} and {name} are both set: keep one")
    try:
        return Path(environment[name]).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise BadSetting(f"{name}: the file cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise BadSetting(f"{name}: the file is not UTF-8 text") from None


def _database_url(text: str) -> str:
    if not text.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise BadSetting("BRIDGE_DATABASE_URL must begin with sqlite:/// or postgresql+psycopg://")
    return text


def _keys(name: str, values: Mapping[str, str]) -> list[Key]:
    try:
        return parse_keys(name, values[name])
    except ValueError as error:
        raise BadSetting(str(error)) from None


def _seal_keys(values: Mapping[str, str]) -> list[Key]:
    """Ed25519 has keys of one size."""
    keys = _keys("BRIDGE_SEAL_KEYS", values)
    if any(len(key.secret) != SIZE for key in keys):
        raise BadSetting("BRIDGE_SEAL_KEYS: a key is not 32 bytes long; make one with: consent-bridge keys new")
    return keys


def _base_url(text: str) -> str:
    if not _is_web_address(text):
        raise BadSetting("BRIDGE_BASE_URL must look like https://preferences.your-domain.example")
    parts = urlsplit(text)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise BadSetting("BRIDGE_BASE_URL must be https: tokens would travel in the open (http only for localhost)")
    if len(text) > _LONGEST_BASE:
        raise BadSetting(
            f"BRIDGE_BASE_URL is longer than {_LONGEST_BASE} characters: mail programs would cut our links"
        )
    return text.rstrip("/")


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    extra = parts.query or parts.fragment or parts.username or any(mark in text for mark in " ?#\\<>")
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not extra


def _number(name: str, values: Mapping[str, str], least: int, most: int) -> int:
    text = values[name]
    if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
        raise BadSetting(f"{name} must be a number from {least} to {most}")
    return int(text)


def _server(name: str, values: Mapping[str, str]) -> str:
    """`address:port` of a server, or nothing."""
    text = values[name]
    host, _, port = text.rpartition(":")
    try:
        ip_address(host.strip("[]"))
        right = port.isascii() and port.isdigit() and 0 < int(port) < 65536
    except ValueError:
        right = False
    if text and not right:
        raise BadSetting(f"{name} must be the IP address and port of a name server, such as 127.0.0.1:53")
    return text


def _nudge(text: str) -> str:
    if not is_known(text):
        raise BadSetting("BRIDGE_NUDGE must be one of: inline, none, sqs:URL of a queue, lambda:NAME of a function")
    return text


def _spool(text: str) -> str:
    url, comma, letters = text.partition(",")
    if text and not (is_queue(url) and (not comma or is_queue(f"sqs:{letters}"))):
        raise BadSetting("BRIDGE_SPOOL must be sqs:URL of a queue, or left out for a file beside the database")
    return text


def _one_of(name: str, values: Mapping[str, str], choices: Sequence[str]) -> str:
    if values[name] not in choices:
        raise BadSetting(f"{name} must be one of: {', '.join(choices)}")
    return values[name]


def _secret(name: str, values: Mapping[str, str]) -> str:
    if values[name] and len(values[name]) < _SHORTEST_SECRET:
        raise BadSetting(f"{name} is too easy to guess: use {_SHORTEST_SECRET} characters or more")
    return values[name]


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
