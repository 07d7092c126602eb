"""The only place where everything is put together: settings in, one `Bridge` out. Nothing connects before its use."""

import logging
import os
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import msgspec

from bridge.acts import Acts
from bridge.adapter import Adapter, Ears, Misconfigured, Transport, find, find_transport
from bridge.aws import Aws
from bridge.board import Board
from bridge.choosing import Choosing
from bridge.doorbell import Bell
from bridge.guardians import Guardians
from bridge.links import Links
from bridge.mailer import Mailer, Promotes, Templates
from bridge.my_data import MyData
from bridge.notices import Notices, check_unchanged
from bridge.notices import read as read_notices
from bridge.policy import Policy, PolicyError, load
from bridge.receipts import Issuer
from bridge.seals import Seals
from bridge.settings import BadSetting, Settings, read_settings
from bridge.spool import QueueSpool, Spool
from bridge.store import Store, revision
from bridge.store.engine import Database
from bridge.store.kept import KeptSecrets
from bridge.store.sign_up import Quotas
from bridge.texts import Texts
from bridge.vault import Vault
from bridge.vocabulary import PREFERENCES, Limits

log = logging.getLogger("bridge.bootstrap")

#: Threads that answer readers, and so the most clicks that share one commit. Few: they share one interpreter, so more
#: only take turns in a worse order.
THREADS = 16


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
