"""From which age a child decides alone about its data online, as data: country by country, with source and check date.

GDPR article 8(1) says 16, and lets each country choose a lower age down to 13. Laws change: `doctor` names an age that
nobody has looked up within a year, and the policy says in `child_age` and `child_age_checked` what its lawyer found.
"""

from datetime import date, timedelta
from typing import NamedTuple

#: What article 8(1) leaves open.
LOWEST, HIGHEST = 13, 16

#: Looked up longer ago than this, an age is to be looked up again.
RECHECK = timedelta(days=365)

_TRACKER = "twobirds.com, GDPR tracker, children"


class Age(NamedTuple):
    """The age below which a guardian decides, where that is written, and when somebody last looked."""

    years: int
    source: str
    checked: date


#: Where nothing else is known: the highest age there can be.
STRICT = Age(HIGHEST, "GDPR article 8(1)", date(2016, 4, 27))

AGES = {
    "AT": Age(14, f"DSG § 4(4); {_TRACKER}", date(2018, 6, 5)),
    "BE": Age(13, f"Act of 30 July 2018, art. 7; {_TRACKER}", date(2018, 10, 8)),
    "CZ": Age(15, f"Act 110/2019, § 7; {_TRACKER}", date(2018, 9, 13)),
    "DE": Age(16, f"no rule of its own, so GDPR article 8(1); {_TRACKER}", date(2018, 5, 23)),
    # The tracker still says 13; raised by an act of December 2023, in force since the day named here.
    "DK": Age(15, "Databeskyttelsesloven § 6(2), as amended", date(2024, 1, 1)),
    "ES": Age(14, f"LO 3/2018, art. 7; {_TRACKER}", date(2019, 3, 5)),
    "FI": Age(13, f"Data Protection Act 1050/2018, § 5; {_TRACKER}", date(2018, 11, 13)),
    "FR": Age(15, f"Loi Informatique et Libertés; {_TRACKER}", date(2019, 2, 11)),
    "GB": Age(13, f"Data Protection Act 2018, s. 9; {_TRACKER}", date(2018, 5, 23)),
    "IE": Age(16, f"Data Protection Act 2018, s. 31; {_TRACKER}", date(2018, 6, 7)),
    "IT": Age(14, f"Codice privacy, art. 2-quinquies; {_TRACKER}", date(2018, 10, 25)),
    "NL": Age(16, f"UAVG art. 5; {_TRACKER}", date(2018, 9, 17)),
    "SE": Age(13, f"Act 2018:218, ch. 2 § 4; {_TRACKER}", date(2018, 9, 6)),
    "SK": Age(16, f"Act 18/2018, § 15; {_TRACKER}", date(2018, 9, 13)),
}


def age_of(country: str) -> Age:
    """The age of a country; the strict one where none is known."""
    return AGES.get(country, STRICT)
