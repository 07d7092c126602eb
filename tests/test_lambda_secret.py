"""The secret that functions on AWS read: what serverless.yml names of the operator's settings, and nothing else."""

import re

import pytest

from scripts.lambda_secret import secret, wanted
from tests.zips import HERE

URL = "postgresql+psycopg://bridge:x@db.krant.example/consent?sslmode=require"


@pytest.fixture
def told() -> dict[str, str]:
    """Settings of somebody with one platform."""
    names = ("LINK_KEYS", "VAULT_KEYS", "SEAL_KEYS", "MAIL_URL")
    ours = {f"BRIDGE_{name}": f"value of {name}" for name in names}
    others = {
        "MAILCHIMP_API_KEY": "k-us1",
        "BRIDGE_ADAPTERS": "mailchimp",
        "BRIDGE_POLICY": "policy.toml",
        "HOME": "/nowhere",
        "BRIDGE_BASE_URL": "x",
    }
    return {**ours, **others, "BRIDGE_DATABASE_URL": URL}


def test_it_holds_what_functions_ask_for(told: dict[str, str]) -> None:
    """Each field that serverless.yml names and these settings have."""
    found = secret(told)
    assert found.keys() == set(wanted()) & told.keys()
    assert "BRIDGE_BASE_URL" not in found
    assert found["BRIDGE_DATABASE_URL"] == URL


@pytest.mark.parametrize("name", ["BRIDGE_VAULT_KEYS", "BRIDGE_DATABASE_URL", "BRIDGE_MAIL_URL", "MAILCHIMP_API_KEY"])
def test_what_is_missing_is_named(told: dict[str, str], name: str) -> None:
    """Before anything is deployed."""
    del told[name]
    with pytest.raises(SystemExit, match=f"{name} is missing"):
        secret(told)


def test_sqlite_is_refused(told: dict[str, str]) -> None:
    """Functions share no disk."""
    told["BRIDGE_DATABASE_URL"] = "sqlite:///consent.db"
    with pytest.raises(SystemExit, match="must be a PostgreSQL"):
        secret(told)


def test_readme_counts_connections_as_serverless_yml_has_them() -> None:
    """On AWS: how many the database must allow."""
    text = (HERE / "serverless.yml").read_text(encoding="utf-8")
    most = {name: int(number) for name, number in re.findall(r"(\w+)Concurrency: (\d+)", text)}
    fixed = {name: int(number) for name, number in re.findall(r"^      (\w+): (\d+)", text, re.MULTILINE)}
    twice = fixed["scheduled"] + fixed["nightly"]
    total = most["web"] + most["stop"] + most["worker"] + sum(fixed.values()) + twice
    assert f"at most {total} with" in (HERE / "README.md").read_text(encoding="utf-8")
