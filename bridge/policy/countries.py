"""What the law of each country leaves open, kept as data: one profile per country, and where data may travel.

Source: `standards.md` sections 9 and 11 and the national acts named on each line, known in November 2026 and not
re-read for this table. From which age a child decides alone is in `ages`. Laws change: look again when you change a
line. A country that is not here gets the strict profile.
"""

import msgspec


class Country(msgspec.Struct, frozen=True, kw_only=True):
    """What one country allows and asks. The defaults are the strict profile."""

    soft_opt_in: bool = False  # own customers, ePrivacy 13(2)
    soft_max_months: int | None = None  # longest time since the last sale, where the country names one
    single_opt_in: bool = False  # a yes without confirmation can still be proven
    repermission: bool = False  # asking old contacts once more (AUD-03)
    goodbye_mail: bool = False  # leaving must be acknowledged by e-mail (WDR-12)


STRICT = Country()

COUNTRIES = {
    # TKG 2021 § 174(4)
    "AT": Country(soft_opt_in=True),
    # Royal Decree 4 April 2003, art. 1 (own customers) and art. 2 (acknowledge by e-mail, keep a list of who left)
    "BE": Country(soft_opt_in=True, single_opt_in=True, repermission=True, goodbye_mail=True),
    # Act 480/2004 § 7(3)
    "CZ": Country(soft_opt_in=True, single_opt_in=True),
    # UWG § 7(3); BGH I ZR 164/09: only a confirmed yes proves anything
    "DE": Country(soft_opt_in=True),
    # Marketing Practices Act § 10(2)
    "DK": Country(soft_opt_in=True, single_opt_in=True),
    # LSSI art. 21(2)
    "ES": Country(soft_opt_in=True, single_opt_in=True),
    # Act 917/2014 § 200(3)
    "FI": Country(soft_opt_in=True, single_opt_in=True),
    # CPCE L34-5; CNIL: three years since the customer last acted
    "FR": Country(soft_opt_in=True, soft_max_months=36, single_opt_in=True),
    # PECR reg. 22(3); fines of 2017 (Flybe, Honda) for asking old contacts again
    "GB": Country(soft_opt_in=True, single_opt_in=True),
    # S.I. 336/2011 reg. 13(11): within twelve months of the sale
    "IE": Country(soft_opt_in=True, soft_max_months=12, single_opt_in=True),
    # Codice privacy art. 130(4)
    "IT": Country(soft_opt_in=True, single_opt_in=True),
    # Telecommunicatiewet art. 11.7(3)
    "NL": Country(soft_opt_in=True, single_opt_in=True, repermission=True),
    # Marketing Act (2008:486) § 19
    "SE": Country(soft_opt_in=True, single_opt_in=True),
}

#: Data moves freely here: the European Union with Iceland, Liechtenstein and Norway.
EEA = frozenset({
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS", "IT", "LI",
    "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
})  # fmt: skip

#: Countries with an adequacy decision of the Commission (GDPR 45). The United States is not among them: its decision
#: covers only companies certified under the Data Privacy Framework, so that is a transfer tool to name and assess.
#: Canada: commercial organisations.
ADEQUATE = frozenset({
    "AD", "AR", "CA", "CH", "FO", "GB", "GG", "IL", "IM", "JE", "JP", "KR", "NZ", "UY",
})  # fmt: skip


def profile(country: str) -> Country:
    """The country's profile; the strict one for a country that is not in the table."""
    return COUNTRIES.get(country, STRICT)


def is_third_country(country: str) -> bool:
    """Data may go there only with a transfer tool that was assessed (GDPR 46)."""
    return country not in EEA | ADEQUATE
