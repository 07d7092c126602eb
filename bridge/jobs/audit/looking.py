"""One audit: of whom, and what came of it. The same store and the same list give the same answer."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

from bridge.bootstrap import Bridge
from bridge.decide import Graded, Proof, grade
from bridge.jobs.audit.folding import Fold, Folded, batches
from bridge.jobs.audit.kept import Row
from bridge.jobs.audit.lines import AuditLines
from bridge.jobs.audit.tally import AGES, Tally
from bridge.jobs.line import on_a_line
from bridge.jobs.lists.columns import Columns
from bridge.jobs.lists.files import ListFile
from bridge.jobs.lists.lines import Defaults
from bridge.jobs.lists.platforms import entries_of
from bridge.jobs.lists.taking import content
from bridge.store.proofs import PAGE, Proofs
from bridge.vocabulary import Entry

#: Rows of a list that are gathered at a time.
_GATHERED = 1000

#: Called with what is done, and how much there is.
Progress = Callable[[int, int], None]


class Audit:
    """Looks at everybody of one source, once. `keep` is given each contact, where addresses are wanted."""

    keep: Callable[[Row], None] | None = None

    def __init__(self, bridge: Bridge, progress: Progress) -> None:
        self._bridge, self._progress = bridge, progress
        self._proofs = Proofs(bridge.database, bridge.store.rows)
        self.made = bridge.clock()
        self._limits = bridge.limits(self.made)
        self._first = next(iter(bridge.policy.purposes))
        self._double = {purpose.id for purpose in bridge.policy.purposes.values() if purpose.opt_in == "double"}

    def store(self) -> Tally:
        """Everybody here."""
        tally = Tally(self.made, "store")
        last = self._proofs.last()
        for after in range(0, last, PAGE):
            if self.keep is None:
                self._count(tally, after)
            else:
                self._look(tally, after)
            self._progress(min(after + PAGE, last), last)
        return tally

    def file(self, list_: ListFile, defaults: Defaults) -> Tally:
        """Everybody a file names. Rows without an address that can be read are counted and left out."""
        tally = Tally(self.made, list_.path.name)
        policy = self._bridge.policy
        columns = Columns(list_.path, list_.header, policy)
        others = self._bridge.third_parties
        lines = AuditLines(policy, self._bridge.notices, columns, defaults, self.made, third_parties=others)

        def read() -> Iterator[Entry]:
            for number, (_, cells) in enumerate(list_, start=1):
                try:
                    yield lines.entry(cells)
                except ValueError:
                    tally.rejected += 1
                if not number % _GATHERED:
                    self._progress(number, 2 * list_.rows)

        begun = self._bridge.store.lists.look(content(self._bridge, list_), b"").begun
        self._fold(tally, read(), Fold(self._bridge.vault, defaults.purpose or self._first, begun), list_.rows)
        tally.rows = list_.rows
        return tally

    def platform(self, name: str, purpose: str = "") -> Tally:
        """Everybody a platform holds, for what it mails them or for what they left there."""
        tally = Tally(self.made, name)
        otherwise = purpose or self._first

        def read() -> Iterator[Entry]:
            for seen in on_a_line(self._bridge, name, iter(self._bridge.adapters[name].everybody())):
                entries, bad = entries_of(seen, self._bridge.policy.purposes, "", otherwise)
                tally.rejected += bad
                tally.rows += len(entries) + bad
                self._progress(tally.rows, 0)
                yield from entries

        self._fold(tally, read(), Fold(self._bridge.vault, otherwise, self.made), 0)
        return tally

    def _fold(self, tally: Tally, entries: Iterable[Entry], fold: Fold, rows: int) -> None:
        with closing(fold):
            gathered = 0
            for some in batches(entries, _GATHERED):
                fold.add(some)
                gathered += len(some)
            for number, found in enumerate(fold.contacts(self._proofs, self.made), start=1):
                self._add(tally, found)
                if not number % _GATHERED:
                    self._progress(rows + number, max(2 * rows, rows + gathered))
            tally.repeated = gathered - tally.total

    def _count(self, tally: Tally, after: int) -> None:
        ages = {*AGES.values(), self._limits.consent_max_age, self._limits.soft_max_age}
        moments = sorted(self.made - age for age in ages)
        for alike in self._proofs.alike(moments, after, after + PAGE):
            tally.add(alike.purpose, alike.proof, self._grade(alike.purpose, alike.proof), alike.people)

    def _look(self, tally: Tally, after: int) -> None:
        contacts, emails = self._proofs.contacts(after, after + PAGE)
        for contact in contacts:
            if contact.number in emails:
                email = emails[contact.number]
                self._add(tally, Folded(email, contact.purpose, contact.proof, contact.seen, ()))
            else:
                tally.unreadable += 1

    def _add(self, tally: Tally, found: Folded) -> None:
        proof = found.proof
        graded = self._grade(found.purpose, proof)
        tally.add(found.purpose, proof, graded)
        if self.keep is not None:
            channel = proof.channel or ""
            self.keep(Row(found.email, found.purpose, *graded, channel, found.seen, found.stops))

    def _grade(self, purpose: str, proof: Proof) -> Graded:
        return grade(proof, purpose, self.made, self._limits, confirmed=purpose in self._double)
