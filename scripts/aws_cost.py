"""Print README's table of what AWS bills: `python scripts/aws_cost.py`. What it reckons with is in `aws_cost.toml`."""

import tomllib
from pathlib import Path
from typing import Any, NamedTuple

TABLE = Path(__file__).with_suffix(".toml")
MILLION, GB = 1_000_000, 1_000_000_000
HOURS = 730  # a month
DAYS = HOURS / 24


class Item(NamedTuple):
    """Dollars a month."""

    what: str
    fixed: float
    million: float  # for each million readers


def items(told: dict[str, Any]) -> list[Item]:
    """Each item of the bill."""
    price, reader, house = told["prices"], told["reader"], told["house"]
    pages = MILLION * (
        reader["sign_ups"] * house["sign_up_requests"] + reader["visits"] * house["visit_requests"] + reader["stops"]
    )
    news = MILLION * reader["mails"] * reader["news"]
    calls = news / house["news_a_call"]
    work = MILLION * (2 * reader["sign_ups"] + 2 * reader["stops"] + reader["visits"])  # mails and changes of ours
    seconds = pages * house["page_seconds"] + calls * house["call_seconds"] + work * house["work_seconds"]
    seconds += house["night_seconds"] * DAYS
    events = MILLION * (2 * reader["sign_ups"] + reader["stops"]) * 12 * house["years"] + news * 12 * house["years"]
    stored = (MILLION * house["person_bytes"] + events * house["event_bytes"]) / GB
    minutes, polls = HOURS * 60, 2 * 5 * HOURS * 3600 / 20  # Lambda asks each of two queues five times in 20 seconds
    memory = house["memory_gb"] * price["lambda_gb_second"]
    invoked = pages + calls + work
    return [
        Item("PostgreSQL, two zones", HOURS * price["database_hour"], 0),
        Item("its disk and backups", 0, stored * (price["database_gb"] + house["backups"] * price["backup_gb"])),
        Item("HTTP API", 0, (pages + calls) / MILLION * price["http_api_million"]),
        Item(
            "Lambda",
            minutes * (house["minute_seconds"] * memory + 2 * price["lambda_million"] / MILLION),
            seconds * memory + invoked / MILLION * price["lambda_million"],
        ),
        Item("SQS", polls / MILLION * price["sqs_million"], 3 * work / MILLION * price["sqs_million"]),
        Item("answers to the internet", 0, pages * house["answer_bytes"] / GB * price["out_gb"]),
        Item("logs", 0, invoked * house["log_bytes"] / GB * price["logs_gb"]),
        Item(
            "alarms, figures and the secret",
            house["alarms"] * price["alarm"] + house["figures"] * price["figure"] + price["secret"],
            0,
        ),
    ]


def table(told: dict[str, Any]) -> str:
    """As README shows it."""
    found = items(told)
    date = told["prices"]["date"]
    fixed, million = sum(item.fixed for item in found), sum(item.million for item in found)
    lines = [
        f"| a month, in US dollars (list prices of {date}) | whatever the size | each million readers |",
        "|---|---|---|",
        *(f"| {item.what} | {item.fixed:,.2f} | {item.million:,.2f} |" for item in found),
        f"| **together** | **{fixed:,.2f}** | **{million:,.2f}** |",
    ]
    return "\n".join(lines)


def read() -> dict[str, Any]:
    """Prices, readers and house."""
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    print(table(read()))
