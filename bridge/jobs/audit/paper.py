"""An audit as a page that prints, and as counts for others: no address, and no number of few people (ORG-01)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bridge.bootstrap import Bridge
from bridge.decide import Grade, share, shown, shown_table
from bridge.jobs.audit.tally import NOWHERE, OLDER, UNDATED, Tally, every
from bridge.texts import mark
from bridge.vocabulary import FEW

#: What each grade means, best first.
GRADES: Mapping[Grade, str] = {
    Grade.PROVEN: mark("Proven: who, when, how and to which words"),
    Grade.SOFT_PROVEN: mark("Own customers, with every fact of the sale (no consent)"),
    Grade.INCOMPLETE: mark("Incomplete: something is missing, so nobody is mailed"),
    Grade.NONE: mark("Without any proof"),
    Grade.STOPPED: mark("Said no"),
}
#: The same as heads of columns.
_SHORT = (mark("Proven"), mark("Customers"), mark("Incomplete"), mark("No proof"), mark("Said no"))
#: What may be missing, as a reader says it.
MISSING: Mapping[str, str] = {
    "time": mark("when she said it"),
    "notice": mark("which words she saw"),
    "language": mark("in which language"),
    "method": mark("how she said it"),
    "confirmation": mark("that it was she, from her own mailbox"),
    "source_document": mark("where it can be seen"),
    "status": mark("that she said yes at all"),
    "channel": mark("where she was asked"),
    "sale_id": mark("the order"),
    "from_person": mark("that the address came from her, with the order"),
    "same_entity": mark("that the same company sold"),
    "similar_category": mark("that it sold the like"),
    "opt_out_offered": mark("that she could refuse when she ordered"),
    "opt_out_in_mail": mark("that she can refuse in each mail"),
    "age": mark("a yes that is not too old"),
    "words": mark("a yes to what it is used for now"),
    "address": mark("a confirmation from her new address"),
    "country": mark("a country that allows mail to customers"),
    "guardian": mark("her answer about her age, or a guardian's yes"),
}
_AGES: Mapping[str, str] = {
    "under 6 months": mark("younger than 6 months"),
    "6 to 12 months": mark("6 to 12 months"),
    "1 to 2 years": mark("1 to 2 years"),
    "2 to 3 years": mark("2 to 3 years"),
    OLDER: mark("older than 3 years"),
    UNDATED: mark("without a date"),
}

#: A row of a chart: label, number, share.
_Rows = list[tuple[str, int | None, float | None]]


def as_html(bridge: Bridge, tally: Tally, language: str) -> str:
    """The report for people, in one of the policy's languages."""

    def say(text: str) -> str:
        return bridge.texts.gettext(language, text)

    names = [say(text) for text in GRADES.values()]
    policy = bridge.policy
    places = {id_: channel.place[language] for id_, channel in policy.channels.items()}
    purposes = {id_: purpose.name[language] for id_, purpose in policy.purposes.items()}
    dated = {age: counts for age, counts in tally.by_age.items() if counts.total()}
    return bridge.texts.render(
        "report/audit.html",
        language,
        title=say(mark("Audit of consent")),
        subtitle=_subtitle(bridge, tally, language),
        made=tally.made,
        total=tally.total,
        list_={"rows": tally.rows, "repeated": tally.repeated, "rejected": tally.rejected} if tally.rows else None,
        grades=_rows(names, list(every(tally.grades).values())),
        short=[say(text) for text in _SHORT],
        missing=_each([(say(MISSING.get(fact, fact)), n) for fact, n in tally.missing.most_common()], tally.total),
        by_purpose=_groups({purposes.get(id_, id_): counts for id_, counts in tally.by_purpose.items()}, names),
        by_channel=_groups({_place(places, id_, say): counts for id_, counts in tally.by_channel.items()}, names),
        by_age=_groups({say(_AGES[age]): counts for age, counts in dated.items()}, names),
    )


def as_counts(tally: Tally) -> dict[str, Any]:
    """`audit --json` for others: null stands for a number that is hidden."""
    told = tally.as_json()
    for name in ("by_purpose", "by_channel", "by_age"):
        table = _table(told[name].values())
        told[name] = {
            about: dict(zip(GRADES, row[1:], strict=True)) for about, row in zip(told[name], table, strict=True)
        }
    told["grades"] = dict(zip(GRADES, shown(list(told["grades"].values())), strict=True))
    told["missing"] = {fact: share(count, tally.total)[0] for fact, count in told["missing"].items()}
    return told | {"hidden_below": FEW}


def _table(groups: Iterable[Mapping[Any, int]]) -> list[list[int | None]]:
    """Groups of one whole by grade, the size of each before its parts: what is hidden of them all."""
    counts = [list(group.values()) for group in groups]
    sizes = shown([sum(row) for row in counts])
    parts = shown_table(counts)
    return [[size, *(row if size is not None else [None] * len(row))] for size, row in zip(sizes, parts, strict=True)]


def _rows(names: Sequence[str], counts: Sequence[int]) -> _Rows:
    """Parts of one whole."""
    whole = sum(counts)
    return [
        (name, part, part / whole if part is not None and whole else None)
        for name, part in zip(names, shown(counts), strict=True)
    ]


def _each(told: Sequence[tuple[str, int]], whole: int) -> _Rows:
    """Numbers that are no parts of one whole: somebody may lack several things."""
    return [(name, *share(count, whole)) for name, count in told]


def _groups(groups: Mapping[str, Mapping[Grade, int]], names: Sequence[str]) -> list[tuple[str, int | None, _Rows]]:
    """Each group with its own parts; a group of few is told without any."""
    table = _table(every(counts) for counts in groups.values())
    return [
        (
            title,
            size,
            [(name, n, n / size if n is not None and size else None) for name, n in zip(names, row, strict=True)],
        )
        for title, (size, *row) in zip(groups, table, strict=True)
    ]


def _place(places: Mapping[str, str], id_: str, say: Any) -> str:
    return str(say(mark("No channel known"))) if id_ == NOWHERE else places.get(id_, id_)


def _subtitle(bridge: Bridge, tally: Tally, language: str) -> str:
    if tally.source == "store":
        return bridge.texts.gettext(language, mark("Everybody in the consent store"))
    source = bridge.policy.sender(tally.source)
    return bridge.texts.gettext(language, mark("Everybody in %(source)s"), source=source)
