"""The exact words that events rest on, kept once, before the first event that names them (CAP-07)."""

from collections.abc import Mapping, Sequence

import msgspec

from bridge.notices import Wording
from bridge.store.door import Batch
from bridge.store.errors import BadInput
from bridge.store.sql import Hand, Sql
from bridge.vocabulary import ConsentEvent, Entry, micros

_THERE = Sql("SELECT sha256 FROM wordings WHERE sha256 = ?")
_SAME = Sql("SELECT sha256 FROM wordings WHERE purpose = ? AND version = ? AND language = ?")
_KEEP = Sql(
    "INSERT INTO wordings (purpose, version, language, label, text, sha256, first_used) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT DO NOTHING"
)


class Words:
    """The operator's wordings by their hash, and which of them are known to be kept."""

    def __init__(self, words: Mapping[str, Wording]) -> None:
        self._words = dict(words)
        self._kept: frozenset[str] = frozenset()

    def keep(self, batch: Batch, told: Sequence[ConsentEvent | Entry]) -> None:
        """Keep what these events name; `BadInput` for words that nobody can show, or that were changed since."""
        shown = {each.evidence.wording for each in told if each.evidence.wording} - self._kept
        for sha256 in sorted(shown):
            words = self._words.get(sha256)
            if words is not None:
                _keep(batch, words)
            elif not _THERE.rows(batch.db, (sha256,)):
                raise BadInput("an event names words that no notice file holds")
            batch.words.add(sha256)

    def committed(self, batch: Batch) -> None:
        """What this transaction kept need not be looked for again."""
        if batch.words:
            self._kept |= batch.words


def _keep(batch: Batch, words: Wording) -> None:
    kept = _kept(batch.db, words)
    if kept is None:
        _KEEP.run(batch.db, (*msgspec.structs.astuple(words), micros(batch.now)))
        kept = _kept(batch.db, words)
    if kept != words.sha256:
        raise BadInput(
            f"notices/{words.purpose}-{words.version}.{words.language}.txt was changed after it was shown: "
            f"put the old text back and write version {words.version + 1} (CAP-07)"
        )


def _kept(db: Hand, words: Wording) -> str | None:
    rows = _SAME.rows(db, (words.purpose, words.version, words.language))
    return rows[0][0] if rows else None
