"""The only place where everything is put together: settings in, one `Bridge` out. Nothing connects before its use."""

import getpass
import logging
import os
import stat
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from bridge.acts import Acts
from bridge.adapter import Adapter, Ears, Misconfigured, Transport, find, find_transport
from bridge.aws import Aws, AwsError, Secrets, is_there
from bridge.board import Board
from bridge.choosing import Choosing
from bridge.doorbell import Bell, is_known, is_queue
from bridge.guardians import Guardians
from bridge.links import Links
from bridge.mailer import Mailer, Promotes, Templates
from bridge.my_data import MyData
from bridge.notices import Notices, check_unchanged
from bridge.notices import read as read_notices
from bridge.policy import Policy, PolicyError, load
from bridge.receipts import Issuer
from bridge.seals import SIZE, Seals
from bridge.spool import QueueSpool, Spool
from bridge.store import Store, revision
from bridge.store.engine import Database
from bridge.store.kept import KeptSecrets
from bridge.store.sign_up import Quotas
from bridge.texts import Texts
from bridge.vault import Key, Vault, parse_keys
from bridge.vocabulary import PREFERENCES, Limits

log = logging.getLogger("bridge.bootstrap")

#: Threads that answer readers, and so the most clicks that share one commit. Few: they share one interpreter, so more
#: only take turns in a worse order.
THREADS = 16

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


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Bridge:
    """Everything, put together from settings; each part is made when first used."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = _utc_now,
        busy_seconds: float = 5.0,
        connections: int = 0,
    ) -> None:
        self.settings, self.clock = settings, clock
        self._busy_seconds, self._connections = busy_seconds, connections
        self.wake: Callable[[], None] = lambda: None
        self._limits: tuple[object, Limits] | None = None
        self._parking: Aws | None = None
        self._kept: dict[str, Mapping[str, str]] = {}

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None) -> "Bridge":
        """A bridge from environment variables."""
        return cls(read_settings(os.environ if environment is None else environment))

    @cached_property
    def policy(self) -> Policy:
        """The operator's choices."""
        return load(self.settings.policy)

    @cached_property
    def notices(self) -> Notices:
        """The wordings beside the boxes."""
        return read_notices(self.policy, self.settings.policy.parent)

    @cached_property
    def links(self) -> Links:
        """Signed links."""
        keys = self.settings.link_keys
        used = [key.secret for key in keys if not key.waits]
        return Links(used, self.settings.base_url, [key.secret for key in keys if key.waits])

    @cached_property
    def vault(self) -> Vault:
        """Keyed hashes and sealing."""
        oldest = [key.secret for key in self.settings.link_keys if not key.waits][-1]
        return Vault(list(self.settings.vault_keys), limits=oldest)

    @cached_property
    def seals(self) -> Seals:
        """The keys that sign checkpoints, receipts and packs; there may be none."""
        return Seals(self.settings.seal_keys)

    @cached_property
    def issuer(self) -> Issuer:
        """Who gives receipts."""
        return Issuer(self.policy, self.links.base_url, self.seals)

    @cached_property
    def database(self) -> Database:
        """The database."""
        try:
            return Database(self.settings.database_url, self._busy_seconds, self._connections)
        except ValueError:
            raise BadSetting("BRIDGE_DATABASE_URL is no address of a database: check its host and port") from None

    @cached_property
    def store(self) -> Store:
        """The consent store."""
        chosen = self.policy.sign_up
        return Store(
            self.database,
            self.vault,
            adapters=self.settings.adapters,
            limits=self.limits,
            mark=self.links.mark,
            words={words.sha256: words for words in self.notices},
            quotas=msgspec.convert(chosen, Quotas, from_attributes=True),
            clock=self.clock,
            nudge=self._bell.ring,
            erased=self._forget_parked,
        )

    @cached_property
    def _bell(self) -> Bell:
        return Bell(self.settings.nudge, self.settings.environment, lambda: self.wake())  # noqa: PLW0108  (as it is then)

    @cached_property
    def texts(self) -> Texts:
        """Templates and words in the readers' languages."""
        return texts_of(self.policy, self.links, self.settings.policy.parent)

    @cached_property
    def mailer(self) -> Mailer:
        """Letters from templates."""
        return Mailer(self.policy, self.texts, self.links)

    @cached_property
    def transport(self) -> Transport:
        """The road for mail."""
        return find_transport(self.settings.mail_url)(self.settings.mail_url, self.settings.environment)

    @cached_property
    def adapters(self) -> dict[str, Adapter]:
        """The adapters that are switched on, by name."""
        return {name: self._adapter(name) for name in self.settings.adapters}

    def ears(self, name: str) -> Ears | None:
        """Who listens at `/webhooks/NAME`: an adapter, or the road for mail where that tells what became of them."""
        if name in self.adapters:
            return self.adapters[name]
        return self.transport.ears() if name == self.road else None

    @property
    def road(self) -> str:
        """The name of the road that mail leaves by."""
        return self.settings.mail_url.partition(":")[0]

    @cached_property
    def kept(self) -> KeptSecrets:
        """What platforms told `setup`; a setting of the same name wins."""
        return KeptSecrets(self.database, self.vault, self.clock)

    def renewed(self, name: str) -> Adapter | None:
        """An adapter made anew when `setup` has kept something since it was made; None when nothing is new."""
        if name not in self.adapters or (told := self.kept.of(name)) == self._kept[name]:
            return None
        self._kept[name] = told
        self.adapters[name] = self._adapter(name)
        return self.adapters[name]

    @cached_property
    def acts(self) -> Acts:
        """What readers do."""
        return Acts(
            self.store,
            self.policy,
            self.notices,
            self.links,
            spool=self.spool,
            clock=self.clock,
            templates=Templates(self.texts.own),
        )

    @cached_property
    def choosing(self) -> Choosing:
        """What the preference page does beyond yes and no."""
        return Choosing(self.acts)

    @cached_property
    def guardians(self) -> Guardians:
        """What guardians of children do."""
        return Guardians(self.acts)

    @cached_property
    def board(self) -> Board:
        """What readers are told of a changed privacy statement."""
        return Board(self.store, self.policy)

    @cached_property
    def my_data(self) -> MyData:
        """What a reader does with her own data."""
        return MyData(self.acts, new_consent=self.policy.new_consent_on_address_change)

    @cached_property
    def spool(self) -> Spool:
        """Where stops wait while the database is away: beside it, else beside the policy; or in a queue."""
        if self.settings.spool:
            self._parking = Aws(self.settings.environment)
            url, _, letters = self.settings.spool.removeprefix("sqs:").partition(",")
            return QueueSpool(url, self._parking, letters)
        url = self.settings.database_url
        if url.startswith("sqlite:///") and len(url) > len("sqlite:///"):
            return Spool(Path(url.removeprefix("sqlite:///") + ".stops"))
        return Spool(self.settings.policy.parent / "parked.stops")

    def _forget_parked(self, subjects: Collection[str]) -> None:
        """What was parked about people who were erased. That they were is done, whatever becomes of this."""
        try:
            self.spool.forget(subjects)
        except OSError as error:
            log.error("parked stops of erased people are still in %s: %s", self.spool.path.name, type(error).__name__)

    def limits(self, now: datetime) -> Limits:
        """The policy's limits on that day."""
        today = now.astimezone(self.policy.zone).date()
        if self._limits is None or self._limits[0] != today:
            limits = self.policy.limits(today, self.settings.adapters)
            self._limits = (today, limits)
        return self._limits[1]

    @property
    def third_parties(self) -> tuple[str, ...]:
        """The channels that somebody else's lists came in by, today's and those of before (CHN-04)."""
        return self.store.third_parties(self.policy.third_parties)

    def close(self) -> None:
        """Let go of the database and of AWS, if they were used."""
        if "database" in self.__dict__:
            self.database.engine.dispose()
        if "_bell" in self.__dict__:
            self._bell.close()
        if self._parking:
            self._parking.close()

    def ready(self) -> None:
        """Check everything that a start needs, loudly: settings, policy, wordings, keys, schema, adapters."""
        _ = self.mailer, self.transport
        self.ready_to_answer()
        _ = self.adapters  # they may need what `setup` kept in the database

    def ready_to_answer(self) -> None:
        """The same for a function of pages on AWS, where readers wait for its start.

        Adapters and the road for mail are made for their first news, from what was kept for them at this moment: the
        database may be away then. That they can be made is checked by the functions that send, which are the first to
        need them.
        """
        if PREFERENCES in self.policy.channels:
            raise BadSetting(f"policy: channel id {PREFERENCES!r} is the preference page's own; choose another")
        _ = self.notices, self.texts
        for language in self.texts.own:
            if lacking := self.texts.lacking(language):
                log.warning("texts/%s.toml lacks %d sentences: they are said in English", language, len(lacking))
        revision.check(self.database)
        self._kept = self.kept.of_each(self.settings.adapters)
        check_unchanged(self.notices, self.store.words_used())
        self.store.warm()
        self.store.note_third_parties(self.policy.third_parties)
        self.check_keys()

    def check_keys(self) -> None:
        """Every key that the database names must be there: at a start, and while a rotation goes on around us."""
        links = self.settings.link_keys
        oldest = [key.kid for key in links if not key.waits][-1]
        missing = self.store.use_keys({"vault": self.vault.kids, "link": [key.kid for key in links], "mark": [oldest]})
        moved = [said for said in missing if said.startswith("mark ")]
        if missing := [said for said in missing if said not in moved]:
            raise BadSetting(
                f"{', '.join(missing)} is named by the database but not by BRIDGE_VAULT_KEYS or BRIDGE_LINK_KEYS: "
                "put it back at the end of the list; `consent-bridge keys list` says which may go (KEY-03)"
            )
        if moved:
            raise BadSetting(
                f"{moved[0].replace('mark', 'link')} must stay the last in BRIDGE_LINK_KEYS: every link ever sent "
                f"carries a mark made under it, and now the last one is {oldest!r} (KEY-02)"
            )

    def _adapter(self, name: str) -> Adapter:
        kind = find(name)
        places = self.policy.places(name)
        for purpose, place in places.items():
            where = f"policy: purposes.{purpose}.at.{name}"
            if missing := kind.needs_places - place.keys():
                raise BadSetting(f"{where} lacks {', '.join(sorted(missing))}")
            if unknown := place.keys() - kind.needs_places - kind.may_places:
                raise BadSetting(f"{where} has {', '.join(sorted(unknown))}, which {name} does not know")
        told = _settings_of(name, self.settings.environment)
        if name not in self._kept:
            self._kept[name] = self.kept.of(name)
        settings = {**self._kept[name], **{setting: value for setting, value in told.items() if value}}
        return kind(settings, places, self.policy.field_names(name))


def texts_of(policy: Policy, links: Links, folder: Path) -> Texts:
    """Templates and words, with what every page and mail says of its controller; `folder` is the policy's."""
    contact = policy.contact
    common = {
        "controller": msgspec.structs.asdict(policy.controller),
        "contact": {"name": contact.name, "email": contact.email, "is_dpo": policy.dpo is not None},
        "looks": {
            "name": policy.looks.name,
            "logo_url": "/logo" if policy.looks.logo else "",
            "accent": policy.looks.accent,
        },
        "statement_url": links.url("/privacy"),
        "home_url": policy.controller.website,
    }
    return Texts(policy.languages, policy.zone, common=common, own=folder / "texts")


#: What can be wrong at a start, each with its own words for the operator.
START_ERRORS = (BadSetting, PolicyError, Misconfigured, Promotes)


def _settings_of(name: str, environment: Mapping[str, str]) -> dict[str, str]:
    prefix = f"{name.upper()}_"
    return {key: value for key, value in environment.items() if key.startswith(prefix)}


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


def write_private(path: Path, text: str) -> None:
    """A new file that only its owner can read; an existing one is never overwritten."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
    with os.fdopen(file, "w", encoding="utf-8") as out:
        out.write(text)
