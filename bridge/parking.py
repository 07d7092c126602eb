"""What must not be lost while the store is away: a stop, and what an ESP tells. It is parked, and written before
anything is sent (WDR-10, decision 21).
"""

import logging
from collections.abc import Callable, Sequence

import msgspec

from bridge.spool import Parked, ParkedNews, Spool, SpoolWaits
from bridge.store import Store, StoreAway, StoreBroken
from bridge.store.values import News, Person
from bridge.vault import Sealed
from bridge.vocabulary import Report

log = logging.getLogger("bridge.parking")

#: Pieces of news in one parked line: at some 250 bytes, and half as much again for each old vault key, far from the
#: 256 KiB that every queue takes. A webhook may bring thousands.
_PARKED_AT_ONCE = 250


class Parking:
    """Stops and news, written or else parked. `carry_out` writes one stop."""

    def __init__(self, store: Store, spool: Spool, carry_out: Callable[[Parked], Person | None]) -> None:
        self._store, self._spool, self._carry_out = store, spool, carry_out

    def stop(self, stop: Parked) -> Person | None:
        """Done, or parked, before this returns. Gives whom it stopped, if she is still here and the store is too."""
        try:
            return self._carry_out(stop)
        except (StoreAway, StoreBroken) as error:
            self._park_for(error, "a stop", stop)
            return None

    def hear(self, adapter: str, reports: Sequence[Report]) -> int | None:
        """Take what an ESP tells; how many pieces were new. None = the store is away, and they are parked."""
        try:
            return self._take_in(adapter, self._store.news(adapter, self._store.untold(adapter, reports)))
        except (StoreAway, StoreBroken) as error:
            news = self._store.news(adapter, reports)
            if not news or any(one.to for one in news):  # nothing to keep, or an address that must not lie on disk
                raise
            for start in range(0, len(news), _PARKED_AT_ONCE):  # told again from the start where one fails: heard once
                self._park_for(error, "news", _parked(adapter, news[start : start + _PARKED_AT_ONCE]))
            return None

    def _take_in(self, adapter: str, news: Sequence[News]) -> int:
        """All at once. Somebody who cannot be read must not keep the stops of others from being carried out."""
        try:
            return self._store.take_in(adapter, news)
        except (Sealed, msgspec.DecodeError) as error:
            if len(news) > 1:
                half = len(news) // 2
                return self._take_in(adapter, news[:half]) + self._take_in(adapter, news[half:])
            if news[0].to:  # an address must not lie on disk
                raise
            self._kept_aside(f"news of {adapter}", error)
            self._park(self._spool.put_aside, _parked(adapter, news))
            return 0

    def _park_for(self, error: StoreAway | StoreBroken, what: str, line: Parked | ParkedNews) -> None:
        """Keep what the store could not take; weather ends by itself, a broken statement needs a person."""
        if isinstance(error, StoreBroken):
            log.error("%s cannot be written (StoreBroken, %s) and is parked: run consent-bridge db check", what, error)
        self._park(self._spool.park, line)

    def _park(self, keep: Callable[[Parked | ParkedNews], None], line: Parked | ParkedNews) -> None:
        """Keep it beside the store; `StoreAway` where that fails too, for then it is not done."""
        try:
            keep(line)
        except OSError as error:
            raise StoreAway(f"the spool: {type(error).__name__}") from None

    def replay(self) -> int:
        """Write what was parked while the store was away; before anything is sent."""
        try:
            return self._spool.replay(self._write_parked)
        except SpoolWaits as error:
            raise StoreAway(str(error)) from None

    def take_parked(self, line: Parked | ParkedNews) -> bool:
        """Write one parked line, or raise what keeps it waiting; False for one that nobody can write, now or later."""
        told = self._write_parked(line)
        if isinstance(told, StoreBroken):
            raise told
        return told

    def is_over(self, line: Parked | ParkedNews) -> bool:
        """The same, and whether it is set aside where nobody can write it: then it holds up nothing any more."""
        return self.take_parked(line) or self._spool.is_set_aside(line)

    def _write_parked(self, line: Parked | ParkedNews) -> bool | StoreBroken:
        """False for one whose person cannot be read: she must not keep the stops of others from being carried out."""
        try:
            if isinstance(line, ParkedNews):
                news = msgspec.json.decode(line.news, type=list[News])
                # One piece alone is not parked anew: in a queue it would come again at once, for ever.
                take = self._store.take_in if len(news) == 1 else self._take_in
                take(line.adapter, news)
            else:
                self._carry_out(line)
        except StoreBroken as error:
            return error
        except (Sealed, msgspec.DecodeError) as error:
            self._kept_aside(f"a parked stop of subject {getattr(line, 'subject', '?')}", error)
            return False
        return True

    def _kept_aside(self, what: str, error: Exception) -> None:
        kept, why = self._spool.aside_name, type(error).__name__
        log.error("%s cannot be written (%s) and is kept in %s: run consent-bridge verify", what, why, kept)


def _parked(adapter: str, news: Sequence[News]) -> ParkedNews:
    return ParkedNews(adapter=adapter, news=msgspec.Raw(msgspec.json.encode(news)))
