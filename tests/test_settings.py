"""Settings that are missing, misspelt or out of range: one line that names the setting and the fix, never a secret.

Interface section 3; rows KEY-02, KEY-03, MIN-03; section 7 of the issue: wrong settings.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.adapter import Misconfigured
from bridge.bootstrap import START_ERRORS, Bridge
from bridge.policy import PolicyError
from bridge.settings import SETTINGS, BadSetting, read_env_file, read_settings
from bridge.vault import new_key
from tests.conftest import House

SECRET = "s3cret-for-tests-only"


@pytest.fixture
def right(environment: dict[str, str], sqlite_url: str) -> dict[str, str]:
    """Settings with which the house starts."""
    return {**environment, "BRIDGE_DATABASE_URL": sqlite_url}


def refused(settings: dict[str, str]) -> str:
    """The one line with which a start is refused."""
    with pytest.raises(START_ERRORS) as caught:
        Bridge.from_env(settings).ready()
    text = str(caught.value)
    assert SECRET not in text
    for name, value in settings.items():
        if name.endswith("_KEYS") and ":" in value:
            assert value.partition(":")[2] not in text
    return text


def test_the_house_starts_with_right_settings(right):
    """So that the refusals below are for their own reasons."""
    Bridge.from_env(right).ready()


@pytest.mark.parametrize("name", [name for name, default in SETTINGS.items() if default is None])
@pytest.mark.parametrize("value", [None, ""])
def test_what_has_no_default_must_be_set(right, name, value):
    """No default secrets: a missing setting is named with its fix."""
    settings = {**right, name: value} if value is not None else {k: v for k, v in right.items() if k != name}
    line = refused(settings)
    assert line.startswith(f"{name} is missing: ")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("BRIDGE_BASE_URL", "keuzes.dagwijzer.example", "https://"),
        ("BRIDGE_BASE_URL", "ftp://keuzes.dagwijzer.example", "https://"),
        ("BRIDGE_BASE_URL", "https://keuzes.dagwijzer.example/?x=1", "https://"),
        ("BRIDGE_BASE_URL", "https://keuzes.dagwijzer.example/#x", "https://"),
        ("BRIDGE_BASE_URL", f"https://carla:{SECRET}@keuzes.dagwijzer.example", "https://"),
        ("BRIDGE_BASE_URL", "http://keuzes.dagwijzer.example", "must be https"),
        ("BRIDGE_BASE_URL", "http://10.0.0.1:8080", "must be https"),
        ("BRIDGE_BASE_URL", "http://localhost.evil.example", "must be https"),
        ("BRIDGE_BASE_URL", "https://" + "a" * 100 + ".example", "longer than 100"),
        ("BRIDGE_BASE_URL", "https://[::1", "https://"),
        ("BRIDGE_BASE_URL", "https://keuzes.dagwijzer.example:port", "https://"),
        ("BRIDGE_BASE_URL", "https://keuzes.dagwijzer.example/> <a", "https://"),
        ("BRIDGE_LINK_KEYS", SECRET, "keys new"),
        ("BRIDGE_LINK_KEYS", f"k1:{SECRET}", "keys new"),
        ("BRIDGE_LINK_KEYS", ",", "keys new"),
        ("BRIDGE_VAULT_KEYS", "k1:not base64!", "keys new"),
        ("BRIDGE_VAULT_KEYS", "k 1:" + "A" * 43, "keys new"),
        ("BRIDGE_SEAL_KEYS", SECRET, "keys new"),
        ("BRIDGE_TRUSTED_PROXIES", "-1", "0 to 10"),
        ("BRIDGE_TRUSTED_PROXIES", "11", "0 to 10"),
        ("BRIDGE_TRUSTED_PROXIES", "one", "0 to 10"),
        ("BRIDGE_TRUSTED_PROXIES", "1.5", "0 to 10"),
        ("BRIDGE_TRUSTED_PROXIES", "²", "0 to 10"),
        ("BRIDGE_DATABASE_URL", f"mysql://carla:{SECRET}@db/consent", "postgresql+psycopg://"),
        ("BRIDGE_DATABASE_URL", f"postgresql://carla:{SECRET}@db/consent", "postgresql+psycopg://"),
        ("BRIDGE_DATABASE_URL", "consent.db", "sqlite:///"),
        ("BRIDGE_DATABASE_URL", f"postgresql+psycopg://carla:{SECRET}@db:port/consent", "BRIDGE_DATABASE_URL"),
        ("BRIDGE_MAIL_URL", f"pigeon://carla:{SECRET}@mail.example", "'pigeon', which is not installed"),
        ("BRIDGE_MAIL_URL", "smtp://", "needs a host"),
        ("BRIDGE_MAIL_URL", f"smtp://carla:{SECRET}@mail.example:port", "needs a host"),
        ("BRIDGE_ADAPTERS", "memory,pigeon", "'pigeon', which is not installed; installed are: "),
        ("BRIDGE_NUDGE", "shout", "inline, none"),
        ("BRIDGE_LOG_LEVEL", "LOUD", "DEBUG, INFO"),
        ("BRIDGE_LOG_FORMAT", "xml", "text, json"),
        ("BRIDGE_POLICY", "/nowhere/policy.toml", "consent-bridge init"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_fix(right, name, value, fix):
    """One line, the setting, the fix, no secret."""
    line = refused({**right, name: value})
    assert fix in line
    assert name in line or name == "BRIDGE_POLICY"
    assert "\n" not in line


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("BRIDGE_BASEURL", "BRIDGE_BASE_URL"),
        ("BRIDGE_LINK_KEY", "BRIDGE_LINK_KEYS"),
        ("BRIDGE_ADAPTER", "BRIDGE_ADAPTERS"),
        ("BRIDGE_DATABSE_URL", "BRIDGE_DATABASE_URL"),
        ("BRIDGE_LOG_LEVEL_FILE_", "BRIDGE_LOG_LEVEL"),
    ],
)
def test_a_misspelt_setting_is_not_passed_over(right, typed, meant):
    """An unknown-looking value stops the start and says what was probably meant."""
    assert refused({**right, typed: SECRET}) == f"{typed} is not a setting; did you mean {meant}?"


def test_two_keys_of_one_name_are_refused(right):
    """KEY-02: rows name a key by its id."""
    assert "an id of its own" in refused({**right, "BRIDGE_VAULT_KEYS": f"{new_key('k')},{new_key('k')}"})


@pytest.mark.parametrize("name", ["BRIDGE_VAULT_KEYS", "BRIDGE_LINK_KEYS"])
def test_a_key_the_database_names_may_not_be_dropped(right, name):
    """KEY-03: the start is refused until it is back."""
    Bridge.from_env(right).ready()
    old = right[name]
    line = refused({**right, name: new_key("fresh")})
    assert old.partition(":")[0] in line
    assert "KEY-03" in line
    Bridge.from_env({**right, name: f"{new_key('fresh')},{old}"}).ready()


# -- other forms -------------------------------------------------------------------------------------------------


def test_secrets_may_be_files(right, tmp_path):
    """`NAME_FILE`: mounted secrets, of ours and of an adapter in use; white space at the end is no part of them."""
    for name in ("BRIDGE_LINK_KEYS", "BRIDGE_MAIL_URL", "BRIDGE_ADAPTERS", "MEMORY_WEBHOOK_SECRET"):
        file = tmp_path / name
        file.write_text(right.pop(name) + "\n")
        right[f"{name}_FILE"] = str(file)
    settings = read_settings(right)
    assert settings.adapters == ("memory",)
    assert settings.environment["MEMORY_WEBHOOK_SECRET"] == "a-secret-only-for-tests"
    Bridge(settings).ready()


def test_a_secret_given_twice_is_refused(right, tmp_path):
    """Which of the two counts must not be a guess."""
    file = tmp_path / "keys"
    file.write_text(SECRET)
    line = refused({**right, "BRIDGE_LINK_KEYS_FILE": str(file)})
    assert line == "BRIDGE_LINK_KEYS and BRIDGE_LINK_KEYS_FILE are both set: keep one"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_secret_file_that_cannot_be_read_is_named(right, tmp_path, content):
    """The setting is named, not only the file."""
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    del right["BRIDGE_LINK_KEYS"]
    assert refused({**right, "BRIDGE_LINK_KEYS_FILE": str(file)}).startswith("BRIDGE_LINK_KEYS_FILE: the file ")


def test_other_programs_settings_are_left_alone(right):
    """An environment holds more than ours: files and keys of others stop nothing."""
    others = {"SSH_KEY_FILE": "/nowhere", "MAILCHIMP_API_KEY_FILE": "/nowhere", "AWS_SECRET_ARN": "arn:aws:x"}
    Bridge.from_env({**right, **others}).ready()


@pytest.mark.parametrize("name", ["BRIDGE_LINK_KEYS", "BRIDGE_MAIL_URL", "MEMORY_WEBHOOK_SECRET"])
def test_secrets_of_aws_are_read_on_aws_only(right, name):
    """`NAME_ARN` is clear about where it works."""
    right.pop(name)
    line = refused({**right, f"{name}_ARN": "arn:aws:secretsmanager:eu-west-1:1:secret:x"})
    assert line == f"{name}_ARN is read on AWS only; here set {name} or its _FILE form"


def test_an_env_file_is_read_as_people_write_them(tmp_path):
    """Comments, quotes, `export`, Windows line ends and a byte order mark."""
    file = tmp_path / ".env"
    file.write_bytes(
        "\ufeffBRIDGE_OPERATOR=carla\r\n\r\n# a comment\r\nexport A=\"b c\"\r\n B = 'x=y' \r\nEMPTY=\r\n".encode()
    )
    assert read_env_file(file) == {"BRIDGE_OPERATOR": "carla", "A": "b c", "B": "x=y", "EMPTY": ""}


@pytest.mark.parametrize(
    ("content", "says"), [(b"A=1\nBRIDGE_X\n", ".env, line 2: write NAME=value"), (b"A=\xff", ".env is not UTF-8")]
)
def test_a_broken_env_file_is_named_with_its_line(tmp_path, content, says):
    """The line, never its content."""
    file = tmp_path / ".env"
    file.write_bytes(content)
    with pytest.raises(BadSetting, match=says):
        read_env_file(file)


def test_defaults_are_those_of_the_papers(environment):
    """Interface section 3."""
    settings = read_settings({k: v for k, v in environment.items() if k not in ("BRIDGE_POLICY", "BRIDGE_ADAPTERS")})
    assert settings.policy == Path("policy.toml")
    assert settings.database_url == "sqlite:///consent.db"
    assert (settings.trusted_proxies, settings.adapters) == (0, ())
    assert (settings.nudge, settings.log_level, settings.log_format) == ("inline", "INFO", "text")
    assert settings.operator


@pytest.mark.parametrize("base", ["http://localhost:8080", "http://127.0.0.1:8080/", "http://[::1]:8080"])
def test_http_is_for_loopback(right, base):
    """WEB-03: trying out needs no certificate."""
    assert read_settings({**right, "BRIDGE_BASE_URL": base}).base_url == base.rstrip("/")


# -- the policy's places -----------------------------------------------------------------------------------------


def test_a_place_the_esp_does_not_know_is_named(
    make_house: Callable[..., House], policy_folder: Path, sqlite_url: str
) -> None:
    """A misspelt key under [purposes.at.X] would send people nowhere."""
    file = policy_folder / "policy.toml"
    file.write_text(file.read_text().replace('list = "offers"', 'lst = "offers"'))
    with pytest.raises(BadSetting, match=r"purposes\.offers\.at\.memory has lst, which memory does not know"):
        make_house(sqlite_url)


@pytest.mark.parametrize(
    ("adapter", "needs"), [("mailchimp", "audience"), ("sendgrid", "group")], ids=["mailchimp", "sendgrid"]
)
def test_a_place_that_is_missing_is_named(right: dict[str, str], policy_folder: Path, adapter: str, needs: str) -> None:
    """Each ESP says which keys it needs."""
    file = policy_folder / "policy.toml"
    text = (
        file.read_text().replace("at.memory", f"at.{adapter}").replace('adapter = "memory"', f'adapter = "{adapter}"')
    )
    file.write_text(text)
    keys = {"MAILCHIMP_API_KEY": f"{SECRET}-us21", "MAILCHIMP_WEBHOOK_SECRET": SECRET, "SENDGRID_API_KEY": SECRET}
    line = refused({**right, **keys, "BRIDGE_ADAPTERS": adapter})
    assert f"at.{adapter} lacks {needs}" in line


@pytest.mark.parametrize(("adapter", "missing"), [("mailchimp", "MAILCHIMP_API_KEY"), ("sendgrid", "SENDGRID_API_KEY")])
def test_an_adapter_without_its_key_is_named(right: dict[str, str], adapter: str, missing: str) -> None:
    """No default secrets at the ESPs either."""
    with pytest.raises(Misconfigured, match=missing):
        _ = Bridge.from_env({**right, "BRIDGE_ADAPTERS": adapter}).adapters


def test_a_channel_cannot_take_the_preference_pages_name(right: dict[str, str], policy_folder: Path) -> None:
    """CHN-01: a yes given on that page names it."""
    file = policy_folder / "policy.toml"
    file.write_text(file.read_text().replace('id = "footer"', 'id = "preferences"'))
    assert "channel id 'preferences'" in refused(right)


def test_a_policy_that_is_not_toml_is_one_clear_line(right: dict[str, str], policy_folder: Path) -> None:
    """The file and the place."""
    (policy_folder / "policy.toml").write_text("country = ")
    with pytest.raises(PolicyError, match="is not TOML"):
        Bridge.from_env(right).ready()


def test_nothing_is_read_or_opened_before_it_is_asked_for(right: dict[str, str]) -> None:
    """Style 2.10: making a bridge reads settings only; the database file is not even made."""
    right["BRIDGE_DATABASE_URL"] = "sqlite:////nowhere/at/all.db"
    right["BRIDGE_POLICY"] = "/nowhere/policy.toml"
    Bridge.from_env(right)
    assert not Path("/nowhere").exists()
