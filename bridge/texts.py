"""What readers see: templates, words, dates and colours, in the reader's language."""

import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from colorsys import hls_to_rgb, rgb_to_hls
from datetime import UTC, date, datetime
from functools import cached_property
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from bridge.own_texts import OwnTexts, forms, read, sentences
from bridge.policy import PolicyError
from bridge.spoken import SpokenEnvironment
from bridge.vocabulary import FEW, Method, Status, rfc3339

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
CATALOGUES = Path(__file__).resolve().parent / "translations"

#: Grounds that text stands on (`--paper` and `--card` in style.css), light and dark.
LIGHT = ("#f7f6f2", "#ffffff")
DARK = ("#14161a", "#1d2025")

#: Plain "English" writes dates as in Europe: day before month, 24 hours.
_LOCALES = {"en": "en-150"}

#: What Babel says too, of languages that many have: loading all it knows of one takes as long as loading Flask.
NAMES = {"de": "Deutsch", "en": "English", "fr": "Français", "nl": "Nederlands"}
RIGHT_TO_LEFT = frozenset(
    {
        *("apc", "ar", "bal", "bgn", "ckb", "dv", "fa", "he", "ks", "lrc", "mzn", "nqo", "ps", "rhg"),
        *("sd", "sdh", "skr", "syr", "trw", "ug", "ur", "yi"),
    }
)

_LONGEST_HEADER = 1000
_TEXT_WIDTH = 72


class MissingCatalogue(PolicyError):
    """The policy names a language nobody translated; the text says where its words belong."""


def mark(message: str) -> str:
    """Name a sentence for the translators where it is written; it is translated where it is shown."""
    return message


def mark_plural(one: str, many: str) -> tuple[str, str]:
    """The same for a sentence that counts: `%(num)s` is the number."""
    return one, many


_STATUS: Mapping[Status, str] = {
    Status.UNKNOWN: mark("We have no yes from you"),
    Status.REQUESTED: mark("Waiting for your confirmation"),
    Status.GIVEN: mark("You said yes"),
    Status.SOFT_OPT_IN: mark("You are our customer"),
    Status.REFUSED: mark("You said no"),
    Status.WITHDRAWN: mark("You stopped this"),
    Status.OBJECTED: mark("You objected to our mail"),
    Status.EXPIRED: mark("Your yes is too old to count"),
    Status.REVOKED: mark("We ended this"),
    Status.INVALIDATED: mark("Your yes could not be proven"),
}

_HOW: Mapping[Method, str] = {
    Method.FORM: mark("on a sign-up form"),
    Method.CONFIRM_PAGE: mark("confirmed from your mailbox"),
    Method.PREFERENCE_PAGE: mark("on this page"),
    Method.PREFERENCE_LINK: mark("on this page, through a link in a mail"),
    Method.ONE_CLICK: mark("with the unsubscribe button of your mail program"),
    Method.UNSUBSCRIBE_PAGE: mark("through the unsubscribe link in a mail"),
    Method.IMPORT: mark("from an older list"),
    Method.STAFF: mark("entered by one of our people"),
    Method.WEBHOOK: mark("reported by our mailing service"),
    Method.RECONCILE: mark("found when we compared lists"),
    Method.CLOCK: mark("by itself, when its time was up"),
    Method.STOP_LIST: mark("because this address is on our stop list"),
}


_LENGTHS: Mapping[str, tuple[str, str]] = {
    "hours": mark_plural("%(num)s hour", "%(num)s hours"),
    "days": mark_plural("%(num)s day", "%(num)s days"),
    "months": mark_plural("%(num)s month", "%(num)s months"),
}


class Length(Protocol):
    """A length of time as the policy writes it: a count of hours, days or months."""

    @property
    def count(self) -> int: ...
    @property
    def unit(self) -> str: ...


class _Language(NamedTuple):
    """All that speaking one language takes."""

    locale: Locale
    catalogue: NullTranslations
    templates: Environment


class _Spoken(dict[str, _Language]):
    """Languages, each made when it is first spoken: an offered one that nobody reads costs nothing."""

    def __init__(self, speak: Callable[[str], _Language]) -> None:
        super().__init__()
        self._speak = speak

    def __missing__(self, code: str) -> _Language:
        return self.setdefault(code, self._speak(code))


class Texts:
    """The house's voice: every page and mail, in each language that the policy offers."""

    def __init__(
        self,
        languages: Sequence[str],
        zone: ZoneInfo,
        templates: Path = TEMPLATES,
        common: Mapping[str, object] | None = None,
        own: Path | None = None,
    ) -> None:
        """`common` holds what every template may use: controller, looks, statement_url, ...; `own` is the folder
        with the operator's words (`texts/` beside the policy).

        The first language is the default. Raises `MissingCatalogue` for one that nobody translated, and
        `OwnTextsError` for words of the operator's that do not fit.
        """
        self.languages = tuple(languages)
        self._zone, self._templates, self._common = zone, templates, common or {}
        self._locales = {code: _locale(code) for code in self.languages}
        self.own: Mapping[str, OwnTexts] = read(own, self._locales) if own else {}
        for code in self.languages:
            if _shipped(code) is None and code not in self.own:
                raise _missing(code)
        self._spoken = _Spoken(self._speak)

    def lacking(self, language: str) -> list[str]:
        """The sentences that a language of the operator's own does not have yet: they are said in English."""
        return self.own[language].missing if language in self.own and _shipped(language) is None else []

    def render(self, template: str, language: str, /, **context: object) -> str:
        """A page or a part of a mail, such as `email/welcome/body.txt`. An unknown variable is an error."""
        return self._spoken[language].templates.get_template(template).render(context)

    def gettext(self, language: str, message: str, /, **values: object) -> str:
        """One sentence in the reader's language. Write the English one in place, so that translators find it."""
        return self._spoken[language].catalogue.gettext(message) % values

    def quoted(self, language: str, words: str) -> str:
        """Words in quotation marks, as the reader's language writes them."""
        return self.gettext(language, "“%(words)s”", words=words)

    def choose(self, *wanted: str | None, accept: str = "") -> str:
        """The first wanted language that is offered, else what the browser asks for, else the default."""
        for tag in (*wanted, *_accepted(accept)):
            if tag and (offered := self._offered(tag)):
                return offered
        return self.languages[0]

    def day(self, language: str, value: date) -> str:
        """A date as the reader writes it. A moment is taken to the policy's zone first."""
        local = value.astimezone(self._zone).date() if isinstance(value, datetime) else value
        locale = self._spoken[language].locale
        said = _date(local, "long", locale)
        # French counts the first of a month ("1er"), which the Unicode data leaves out.
        return f"1er{said[1:]}" if local.day == 1 and locale.language == "fr" else said

    def month(self, language: str, value: date) -> str:
        """A month of a year, as a reader writes it."""
        return _date(value, "MMMM y", self._spoken[language].locale)

    def moment(self, language: str, value: datetime) -> str:
        """A date and time as the reader writes it, in the policy's zone."""
        time = _time(value, "short", self._zone, self._spoken[language].locale)
        # Translators: a date and the time on that day.
        return self.gettext(language, "%(day)s at %(time)s", day=self.day(language, value), time=time)

    def time_of_day(self, language: str, value: datetime) -> str:
        """Only the time of a moment of today, to the second, in the policy's zone."""
        return _time(value, "medium", self._zone, self._spoken[language].locale)

    def exact(self, language: str, value: datetime) -> str:
        """A moment to the second in the policy's zone, with the same in UTC beside it."""
        time, utc = self.time_of_day(language, value), f"{value.astimezone(UTC):%H:%M:%S} UTC"
        day, other = value.astimezone(self._zone).date(), value.astimezone(UTC).date()
        if day != other:
            # Translators: a date and the time on that day, which ends in “UTC”.
            utc = self.gettext(language, "%(day)s at %(utc)s", day=self.day(language, other), utc=utc)
        # Translators: a date, the time on that day, and the same moment in UTC.
        return self.gettext(language, "%(day)s at %(time)s (%(utc)s)", day=self.day(language, day), time=time, utc=utc)

    def length(self, language: str, value: Length) -> str:
        """A length of time in the reader's words: 3 days."""
        count, unit = value.count, value.unit
        if unit == "hours" and count % 24 == 0:
            count, unit = count // 24, "days"
        one, many = _LENGTHS[unit]
        return self._spoken[language].catalogue.ngettext(one, many, count) % {"num": count}

    def named(self, language: str, name: str, said: str) -> str:
        """A name and what is said of it, with a colon between them as the language writes it."""
        # Translators: stands between a name and what is said of it, with the space that it takes before it.
        colon = self.gettext(language, ":")
        return f"{name}{colon} {said}"

    def number(self, language: str, value: float) -> str:
        """A number as the reader writes it: 12,000 or 12.000."""
        from babel.numbers import format_decimal

        return format_decimal(value, locale=self._spoken[language].locale)

    def counted(self, language: str, count: int | None) -> str:
        """A number of people in a report that is shared; None is hidden: too few, or it would tell who few are."""
        if count is None:
            return self.gettext(language, "hidden")
        return self.number(language, count)

    def percent(self, language: str, share: float | None) -> str:
        """A share (0 to 1) in whole percents, below one with two digits more; a dash where none can be told."""
        if share is None:
            return "–"
        from babel.numbers import format_percent

        return format_percent(share, "#,##0.##%" if 0 < share < 0.01 else "#,##0%", self._spoken[language].locale)

    def names(self, languages: Iterable[str]) -> dict[str, str]:
        """How each language calls itself."""
        found = {code: NAMES.get(code) or Locale.parse(code, sep="-").get_display_name() or code for code in languages}
        return {code: name[:1].upper() + name[1:] for code, name in found.items()}

    def country(self, language: str, code: str) -> str:
        """A country's name; its code where nobody knows one."""
        return str(self._spoken[language].locale.territories.get(code, code))

    def status_text(self, language: str, status: Status | str) -> str:
        """Where a reader stands, in plain words. Whether mail is sent is not said: a block or pause may hold it."""
        return self.gettext(language, _STATUS[Status(status)])

    def how_text(self, language: str, method: Method | str) -> str:
        """By which road an act came, in plain words that stand alone."""
        return self.gettext(language, _HOW[Method(method)])

    def _offered(self, tag: str) -> str | None:
        """The offered language that fits a tag: the same, else of the same primary subtag."""
        tag = tag.strip().lower()
        same = (code for code in self.languages if code.lower() == tag)
        kin = (code for code in self.languages if _primary(code) == _primary(tag))
        return next(same, None) or next(kin, None)

    @cached_property
    def _switch(self) -> list[dict[str, str]]:
        """The languages a page can be read in."""
        names = self.names(self.languages)
        return [{"code": code, "name": names[code], "url": f"?language={code}"} for code in self.languages]

    def _speak(self, code: str) -> _Language:
        locale, catalogue = self._locales[code], self._catalogue(code)
        environment = SpokenEnvironment(
            catalogue.gettext,
            loader=FileSystemLoader(self._templates),
            extensions=["jinja2.ext.i18n"],
            autoescape=select_autoescape(enabled_extensions=("html",), default=False),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        # The i18n extension adds its methods to the environment at run time, so its type does not know them.
        environment.install_gettext_translations(catalogue, newstyle=True)  # type: ignore[attr-defined]
        environment.globals.update(
            lang=code,
            direction="rtl" if _primary(code) in RIGHT_TO_LEFT else "ltr",
            few=FEW,
            colon=catalogue.gettext(":"),
            languages=self._switch,
        )
        environment.globals.update(self._common)
        environment.filters.update(self._filters(code))
        return _Language(locale, catalogue, environment)

    def _catalogue(self, code: str) -> NullTranslations:
        """The words of one language: the operator's first, then those we ship, then the English ones."""
        path = _shipped(code)
        ours = _opened(path) if path else NullTranslations()
        if code not in self.own:
            return ours
        self.own[code].add_fallback(ours)
        return self.own[code]

    def _filters(self, code: str) -> dict[str, Callable[..., str]]:
        return {
            "day": lambda value: self.day(code, value),
            "month": lambda value: self.month(code, value),
            "moment": lambda value: self.moment(code, value),
            "time_of_day": lambda value: self.time_of_day(code, value),
            "utc": rfc3339,
            "length_of_time": lambda value: self.length(code, value),
            "number": lambda value: self.number(code, value),
            "counted": lambda value: self.counted(code, value),
            "percent": lambda value: self.percent(code, value),
            "how_text": lambda value: self.how_text(code, value),
            "status_text": lambda value: self.status_text(code, value),
            "country": lambda value: self.country(code, value),
            "language_name": lambda value: self.names([value])[value],
            "ink": ink,
            "wrapped": wrapped,
        }


def shipped(code: str) -> dict[str, str | dict[str, str]]:
    """Every sentence of ours as we say it in a language, by each number where it counts; empty where we do not.

    Raises `MissingCatalogue` where there is no such language.
    """
    locale, path = _locale(code), _shipped(code)
    catalogue = _opened(path) if path else None
    found: dict[str, str | dict[str, str]] = {}
    for one, many in sentences().items():
        if many is None:
            found[one] = catalogue.gettext(one) if catalogue else ""
        else:
            samples = {locale.plural_form(number): number for number in range(200, -1, -1)}
            found[one] = {
                form: catalogue.ngettext(one, many, samples[form]) if catalogue else ""
                for form in forms(locale)
                if form in samples
            }
    return found


def ink(ground: str) -> str:
    """White or black, whichever can be read on this colour; one of them always reaches 4.5:1."""
    return "#ffffff" if contrast("#ffffff", ground) >= 4.5 else "#000000"


def contrast(one: str, other: str) -> float:
    """How well two colours `#rrggbb` can be told apart, from 1 to 21 (WCAG 2.2)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def palette(accent: str) -> str:
    """The operator's colour as the end of the stylesheet, shaded where it could not be read or seen."""
    light, dark = (";".join(f"--{name}:{value}" for name, value in each.items()) for each in shades(accent))
    return f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"


def shades(accent: str) -> tuple[dict[str, str], dict[str, str]]:
    """The operator's colour by day and by night, what is written on it, and the shade of it that text can have."""
    seen = _shaded(accent, 1, DARK, 3)
    return (
        {"accent": accent, "on-accent": ink(accent), "link": _shaded(accent, 0, LIGHT, 4.5)},
        {"accent": seen, "on-accent": ink(seen), "link": _shaded(accent, 1, DARK, 6)},
    )


def wrapped(text: str) -> str:
    """Plain text for mail: lines of 72, paragraphs one empty line apart, no link broken."""
    lines = [
        textwrap.fill(
            line.strip(),
            _TEXT_WIDTH,
            subsequent_indent="  " if line.startswith("- ") else "",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in text.strip().splitlines()
    ]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def _luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` as WCAG 2 defines it."""
    parts = _channels(colour)
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _shaded(colour: str, end: int, grounds: Sequence[str], wanted: float) -> str:
    """The nearest shade of a colour, on its way to black (0) or white (1), that stands out from these grounds."""
    hue, lightness, saturation = rgb_to_hls(*_channels(colour))
    steps = (lightness + (end - lightness) * step / 100 for step in range(101))
    shades = (_hex(hls_to_rgb(hue, step, saturation)) for step in steps)
    return next(shade for shade in shades if all(contrast(shade, ground) >= wanted for ground in grounds))


def _hex(channels: Iterable[float]) -> str:
    return "#" + "".join(f"{round(channel * 255):02x}" for channel in channels)


def _channels(colour: str) -> tuple[float, float, float]:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red / 255, green / 255, blue / 255


def _shipped(code: str) -> Path | None:
    """The catalogue of one language; a regional one (`nl-BE`) may lean on its mother (`nl`).

    What is read was compiled from the `.po` file beside it: a start needs none of the translators' tools.
    """
    paths = (CATALOGUES / f"{name}.mo" for name in (code, _primary(code)))
    return next((path for path in paths if path.is_file()), None)


def _opened(path: Path) -> NullTranslations:
    with path.open("rb") as file:
        return GNUTranslations(file)


def _locale(code: str) -> Locale:
    """How a language writes dates and numbers."""
    try:
        return Locale.parse(_LOCALES.get(code, code), sep="-")
    except (UnknownLocaleError, ValueError):
        raise _missing(code) from None


def _date(value: date, form: str, locale: Locale) -> str:
    """As Babel writes it, whose tables are loaded for the first page or mail that shows a date."""
    from babel.dates import format_date

    return format_date(value, form, locale)


def _time(value: datetime, form: str, zone: ZoneInfo, locale: Locale) -> str:
    from babel.dates import format_time

    return format_time(value.astimezone(zone), form, zone, locale)


def _missing(code: str) -> MissingCatalogue:
    return MissingCatalogue(
        [
            f"the policy offers the language {code!r}, but there is no {CATALOGUES / f'{code}.mo'} and no "
            f"texts/{code}.toml beside the policy: begin one with `consent-bridge texts {code}`, or take it out"
        ]
    )


def _primary(tag: str) -> str:
    return tag.lower().partition("-")[0]


def _accepted(header: str) -> list[str]:
    """The tags of an Accept-Language header, best first; refused (q=0) and malformed ones are left out."""
    found: list[tuple[float, str]] = []
    for part in header[:_LONGEST_HEADER].split(","):
        match = re.fullmatch(r"\s*([A-Za-z0-9-]+)\s*(?:;\s*[qQ]\s*=\s*([01](?:\.\d{0,3})?)\s*)?", part)
        if match and float(match[2] or 1) > 0:
            found.append((float(match[2] or 1), match[1]))
    return [tag for _, tag in sorted(found, key=lambda weighed: -weighed[0])]
