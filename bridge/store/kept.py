"""Secrets that platforms told `setup`, each once and never again: kept sealed under a vault root (decision 28)."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from bridge.store.engine import Database
from bridge.store.sql import Sql
from bridge.tables import esp_secrets as kept
from bridge.vault import Vault

_KEPT = Sql(
    "SELECT adapter, setting, place, kid, sealed FROM esp_secrets WHERE adapter IN ({}) ORDER BY since DESC, place"
)


class KeptSecrets:
    """What stands in for settings that nobody wrote down. One value for each place at a platform."""

    def __init__(self, database: Database, vault: Vault, clock: Callable[[], datetime]) -> None:
        self.database, self.vault, self.clock = database, vault, clock

    def of(self, adapter: str) -> Mapping[str, str]:
        """What is kept for an adapter, by setting; several places' values with commas, the newest first."""
        return self.of_each([adapter])[adapter]

    def of_each(self, adapters: Sequence[str]) -> dict[str, Mapping[str, str]]:
        """The same for several, read together; nothing is asked where there are none."""
        if not adapters:
            return {}
        with self.database.reading() as db:
            rows = _KEPT.rows(db, adapters, len(adapters))
        found: dict[str, dict[str, list[str]]] = {adapter: {} for adapter in adapters}
        for adapter, setting, place, kid, sealed in rows:
            value = self.vault.open_text(_about(adapter, setting, place), kid, sealed)
            found[adapter].setdefault(setting, []).append(value)
        return {
            adapter: {setting: ",".join(dict.fromkeys(values)) for setting, values in settings.items()}
            for adapter, settings in found.items()
        }

    def keep(self, adapter: str, setting: str, place: str, value: str) -> None:
        """Keep a secret; the one before it of that place is forgotten. Empty = there is none any more."""
        mine = (kept.c.adapter == adapter, kept.c.setting == setting, kept.c.place == place)
        with self.database.writing() as db:
            db.execute(delete(kept).where(*mine))
            if value:
                kid, sealed = self.vault.seal_text(_about(adapter, setting, place), value)
                row = {"adapter": adapter, "setting": setting, "place": place, "kid": kid, "sealed": sealed}
                db.execute(insert(kept).values(**row, since=self.clock()))


def reseal(db: Connection, vault: Vault) -> None:
    """Put every kept secret under the newest root; for a rotation. There are a handful of them."""
    for row in db.execute(select(kept).where(kept.c.kid != vault.newest)).all():
        about = _about(row.adapter, row.setting, row.place)
        kid, sealed = vault.seal_text(about, vault.open_text(about, row.kid, row.sealed))
        mine = (kept.c.adapter == row.adapter, kept.c.setting == row.setting, kept.c.place == row.place)
        db.execute(update(kept).where(*mine, kept.c.kid == row.kid).values(kid=kid, sealed=sealed))


def _about(adapter: str, setting: str, place: str) -> str:
    """What the sealed bytes are bound to."""
    return f"{adapter}\n{setting}\n{place}"
