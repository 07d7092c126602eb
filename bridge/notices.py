"""The wordings shown beside the boxes: whole files per language, each named by its hash, never changed once used."""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from bridge.policy import Policy, PolicyError, Purpose

#: (purpose, version, language) of a wording.
Key = tuple[str, int, str]

MOST_CHARACTERS = 4000
_MOST_BYTES = 64 * 1024
_FILE = re.compile(r"([a-z][a-z0-9_-]{0,31})-([1-9][0-9]{0,3})\.([a-z]{2,3}(?:-[A-Z]{2})?)\.txt")

#: Marks that turn the direction of writing: a text with them may read differently from what is hashed.
_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

#: Language -> how a text says that a yes can be taken back, and what it calls the privacy statement (CAP-04).
_WITHDRAWAL = {
    "en": r"withdraw|unsubscribe|stop",
    "nl": r"intrek|ingetrokken|uitschrijf|uitschrijv|afmeld|stopzet|stoppen",
    "de": r"widerruf|abmeld|abbestell|austrag",
    "fr": r"retir|désabonn|désinscri|révoqu",
    "es": r"retir|revoc|darse de baja|darte de baja",
    "it": r"revoc|disiscri|ritir",
    "ar": r"(ال|ب|ل)?(سحب|إلغاء)|تسحب|تلغي",
    "bg": r"оттегл|отпиш|отпис",
    "cs": r"odvol|odhlás",
    "da": r"træk|trukket|tilbagekald|afmeld",
    "el": r"ανακαλ|ανάκλ|ανακλ|αποσύρ|διαγραφ",
    "et": r"tagasi|tühista|loobu",
    "fi": r"peru",
    "ga": r"tarraing|aistarraing|díliostáil",
    "hr": r"povuć|povla|odjav|opoz",
    "hu": r"visszavon|leirat",
    "is": r"afturkall|afskr",
    "lt": r"atšauk|atsisak",
    "lv": r"atsauk|atteik",
    "mt": r"tirtira|jirtira",
    "nb": r"trekk|trukket|avmeld",
    "nn": r"trekk|trekt|avmeld",
    "no": r"trekk|trukket|avmeld",
    "pl": r"wycof|cofn|wypis|rezygn",
    "pt": r"retir|revog|cancel",
    "ro": r"retra|revoc|dezabon",
    "ru": r"отозв|отзыв|отпис",
    "sk": r"odvol|odhlás",
    "sl": r"preklic|prekli|odjav|umak",
    "sv": r"återkall|avregistr|avsluta|dra tillbaka",
    "tr": r"geri al|geri çek|iptal",
    "uk": r"відклик|відписа|скасув",
}
_STATEMENT = {
    "en": r"privacy (statement|policy|notice)",
    "nl": r"privacy ?-?(verklaring|statement|beleid)",
    "de": r"datenschutz|privatsphäre",
    "fr": r"confidentialité|vie privée|protection des données",
    "es": r"privacidad|protección de datos",
    "it": r"privacy|riservatezza|protezione dei dati",
    "ar": r"الخصوصية|البيانات الشخصية",
    "bg": r"поверителност|лични данни",
    "cs": r"osobních údajů|soukromí",
    "da": r"privatliv|persondata|databeskyttelse",
    "el": r"απορρήτου|προσωπικών δεδομένων",
    "et": r"privaatsus|andmekaitse",
    "fi": r"tietosuoja",
    "ga": r"príobháid",
    "hr": r"privatnost|osobnih podataka",
    "hu": r"adatvédel|adatkezel",
    "is": r"persónuvernd",
    "lt": r"privatum|asmens duomen",
    "lv": r"privātum|personas dat",
    "mt": r"privatezza",
    "nb": r"personvern",
    "nn": r"personvern",
    "no": r"personvern",
    "pl": r"prywatno|danych osobowych",
    "pt": r"privacidade|proteção de dados",
    "ro": r"confidențialitate|datelor (personale|cu caracter personal)",
    "ru": r"конфиденциальност|персональных данных",
    "sk": r"osobných údajov|súkromi",
    "sl": r"zasebnost|osebnih podatkov",
    "sv": r"integritet|dataskydd|personuppgift",
    "tr": r"gizlilik|kişisel veri",
    "uk": r"конфіденційн|персональних даних",
}


class NoticeError(PolicyError):
    """The wordings cannot be used. `problems` has one line for each thing to mend."""


class NoticeChanged(NoticeError):
    """A wording that readers have seen is no longer the same; only a new version may say something else (CAP-07)."""


class UnknownWording(LookupError):
    """No such wording was ever written."""


class Wording(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader saw beside one box, word for word."""

    purpose: str
    version: int
    language: str
    label: str
    text: str
    sha256: str

    @property
    def key(self) -> Key:
        """What names it: purpose, version and language."""
        return (self.purpose, self.version, self.language)


def wording(*, purpose: str, version: int, language: str, label: str, text: str) -> Wording:
    """A wording with its hash: SHA-256 over the UTF-8 of label, empty line, text."""
    digest = hashlib.sha256(f"{label}\n\n{text}".encode()).hexdigest()
    return Wording(purpose=purpose, version=version, language=language, label=label, text=text, sha256=digest)


class Notices:
    """All wordings of a policy: those in use, and the older ones that readers once saw."""

    def __init__(self, wordings: Mapping[Key, Wording], current: Mapping[str, int]) -> None:
        self._wordings = dict(wordings)
        self._current = dict(current)

    def wording(self, purpose: str, language: str, version: int | None = None) -> Wording:
        """The wording in use, or the one of that version. Raises `UnknownWording`."""
        number = self._current.get(purpose, 0) if version is None else version
        found = self.get((purpose, number, language))
        if found is None:
            raise UnknownWording("no such wording")
        return found

    def get(self, key: Key) -> Wording | None:
        """The wording of that name, if there is one."""
        return self._wordings.get(key)

    def is_current(self, shown: Wording) -> bool:
        """It is the wording that readers see now."""
        return self._current.get(shown.purpose) == shown.version

    def __iter__(self) -> Iterator[Wording]:
        return iter(self._wordings.values())

    def __len__(self) -> int:
        return len(self._wordings)


def file_name(purpose: str, version: int, language: str) -> str:
    """Where a wording lies, seen from the policy file."""
    return f"notices/{purpose}-{version}.{language}.txt"


def read(policy: Policy, folder: Path) -> Notices:
    """Read `notices/` in the policy's folder, or raise `NoticeError` with everything that is missing or wrong."""
    problems: list[str] = []
    wordings: dict[Key, Wording] = {}
    for key in sorted(_wanted(policy) | _present(policy, folder, problems)):
        found = _wording(policy, folder, key, problems)
        if found is not None:
            wordings[key] = found
            problems += _lint(policy, found)
    if problems:
        raise NoticeError(problems)
    return Notices(wordings, {purpose.id: purpose.notice for purpose in policy.purposes.values()})


def check_unchanged(notices: Notices, used: Mapping[Key, str]) -> None:
    """Compare with the hashes that events hold; raise `NoticeChanged` for any wording that is not as it was shown."""
    problems = []
    for key, sha256 in sorted(used.items()):
        found = notices.get(key)
        if found is None:
            fix = "readers have seen this text, but it is gone; put file, purpose and label back as they were"
            problems.append(f"{file_name(*key)}: CAP-07: {fix}")
        elif found.sha256 != sha256:
            problems.append(f"{file_name(*key)}: CAP-07: {_put_back(found, notices.is_current(found))}")
    if problems:
        raise NoticeChanged(problems)


def _put_back(changed: Wording, current: bool) -> str:
    """What to do about a used wording that is not as it was shown."""
    said = "readers have seen this text and its label, so neither may change; put them back as they were"
    labels = f"[purposes.earlier_labels.{changed.version}]"
    if not current:
        return f"{said}; if only the label is new, write the old one under {labels}, key {changed.language}"
    new = changed.version + 1
    return (
        f"{said}, and make a new version: notices/{changed.purpose}-{new}.<language>.txt and notice = {new}; "
        f"if the label changes too, keep the old one under {labels}"
    )


def _wanted(policy: Policy) -> set[Key]:
    """The wordings in use: every purpose in every language."""
    return {
        (purpose.id, purpose.notice, language) for purpose in policy.purposes.values() for language in policy.languages
    }


def _present(policy: Policy, folder: Path, problems: list[str]) -> set[Key]:
    """The wordings that lie there, without drafts of versions to come."""
    keys = set()
    for path in sorted((folder / "notices").glob("*.txt")):
        named = _FILE.fullmatch(path.name)
        purpose = policy.purposes.get(named[1]) if named else None
        if named is None or purpose is None:
            fix = f"is not <purpose>-<version>.<language>.txt with one of: {', '.join(policy.purposes)}; rename it"
            problems.append(f"notices/{path.name}: CAP-07: {fix}")
        elif int(named[2]) <= purpose.notice:
            keys.add((purpose.id, int(named[2]), named[3]))
    return keys


def _wording(policy: Policy, folder: Path, key: Key, problems: list[str]) -> Wording | None:
    purpose, version, language = key
    label = policy.purposes[purpose].label_of(version, language)
    if label is None:
        fix = f"write the label that stood beside this text under [purposes.earlier_labels.{version}], key {language}"
        problems.append(f"{file_name(*key)}: CAP-07: {fix}")
        return None
    try:
        text = _text(folder / file_name(*key))
    except ValueError as error:
        problems.append(f"{file_name(*key)}: CAP-04: {error}")
        return None
    return wording(purpose=purpose, version=version, language=language, label=label, text=text)


def _text(path: Path) -> str:
    """The file's words with plain line ends; `ValueError` says what is wrong with them."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
        text = raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n").strip()
    except FileNotFoundError:
        raise ValueError("there is no such file; write what stands beside the box (decision 35)") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from error
    if not text:
        raise ValueError("is empty; write what stands beside the box")
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"is longer than {MOST_CHARACTERS} characters; nobody reads that beside a box")
    if any(char != "\n" and (unicodedata.category(char) == "Cc" or char in _TURNS) for char in text):
        raise ValueError("holds control characters (tabs too); use plain text")
    return text


def _lint(policy: Policy, shown: Wording) -> Iterator[str]:
    """What a wording in use does not tell the reader though it must (CAP-04, MIN-02, TRN-05)."""
    purpose = policy.purposes[shown.purpose]
    if purpose.notice_since <= shown.version < purpose.notice:
        yield from _stretched(policy, purpose, shown)
    if shown.version != purpose.notice or shown.language not in policy.languages:
        return
    for row, missing in _gaps(policy, purpose, shown):
        yield f"{file_name(*shown.key)}: {row}: {missing}"


def _stretched(policy: Policy, purpose: Purpose, shown: Wording) -> Iterator[str]:
    """An old yes does not reach who was not named in its words: another controller or recipient asks anew (TRN-05)."""
    text, controller = _plain(shown.text), policy.controller
    unnamed = [name for name in purpose.recipients if _plain(name) not in text]
    if not any(_plain(name) in text for name in (controller.name, *controller.formerly)):
        unnamed.insert(0, controller.name)
    if unnamed:
        fix = (
            f"readers who agreed to this text were not told of {', '.join(unnamed)}: raise notice_since of "
            f"{purpose.id} above {shown.version}, so that they are asked anew"
        )
        if unnamed[0] == controller.name:
            fix += "; if only the name of the same company changed, write the old one in controller.formerly"
        yield f"{file_name(*shown.key)}: TRN-05: {fix}"


def _gaps(policy: Policy, purpose: Purpose, shown: Wording) -> Iterator[tuple[str, str]]:
    text = _plain(shown.text)
    if _plain(policy.controller.name) not in text:
        yield "CAP-04", f'must name the controller: "{policy.controller.name}"'
    frequency = purpose.frequency[shown.language]
    if _plain(frequency) not in text:
        yield "CAP-04", f'must say how often, in the words of the policy: "{frequency}"'
    yield from _expected(text, shown.language)
    for name in purpose.recipients:
        if _plain(name) not in text:
            yield "CAP-04", f'must name who else gets the data: "{name}"'
    if purpose.special_category and _plain(purpose.explicit_wording[shown.language]) not in text:
        yield "MIN-02", "must hold the sentence of explicit_wording"


def _expected(text: str, language: str) -> Iterator[tuple[str, str]]:
    """The two things each language has its own words for."""
    spoken = language.partition("-")[0]
    if spoken not in _WITHDRAWAL:
        yield (
            "CAP-04",
            f"this text cannot be checked: bridge/notices.py knows {', '.join(_WITHDRAWAL)}; add {spoken} there",
        )
        return
    if not re.search(rf"\b({_WITHDRAWAL[spoken]})", text):
        words = _WITHDRAWAL[spoken].replace("|", ", ")
        yield "CAP-04", f"must say that a yes can be taken back at any time, with one of the words: {words}"
    if not re.search(_STATEMENT[spoken], text):
        yield "CAP-04", "must point to the privacy statement by name"


def _plain(text: str) -> str:
    """A text as it is compared: one form of each letter, small, single blanks."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())
