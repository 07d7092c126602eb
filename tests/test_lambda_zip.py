"""The zip for AWS Lambda: the same bytes each time, for the right processor, with what functions need and no more.

Issue 7, point 2.
"""

import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scripts.lambda_zip import check, files_of
from scripts.osls import NO_WHEELS
from tests.zips import ARCH, HERE, OTHER, POLICY, PYTHON, build, has_wheels, kept, script

#: The version in serverless.yml.
(RUNTIME,) = re.findall(r"runtime: python(3\.\d+)", (HERE / "serverless.yml").read_text(encoding="utf-8"))

ELF_MACHINE = {"x86_64": 62, "arm64": 183}


@pytest.fixture(scope="module")
def packed() -> zipfile.ZipFile:
    """The zip for this machine."""
    return zipfile.ZipFile(kept())


def files(packed: zipfile.ZipFile, pattern: str) -> list[str]:
    """The files whose names fit."""
    return [name for name in packed.namelist() if re.fullmatch(pattern, name)]


def machines(packed: zipfile.ZipFile) -> set[int]:
    """The processors that the compiled modules in it are for."""
    found = set()
    for name in files(packed, r".*\.so(\.[\d.]+)?"):
        head = packed.read(name)[:20]
        assert head[:4] == b"\x7fELF", name
        found.add(struct.unpack("<H", head[18:20])[0])
    return found


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    """Built once more, in another folder, at another time, out of a policy in another place."""
    policy = tmp_path / "my-list"
    shutil.copytree(POLICY, policy)
    for path in policy.rglob("*"):
        os.utime(path, (1, 1))
    assert build(tmp_path / "out", policy=policy).read_bytes() == kept().read_bytes()


def test_it_is_for_one_processor(packed: zipfile.ZipFile) -> None:
    """Every compiled module in it."""
    assert machines(packed) == {ELF_MACHINE[ARCH]}


def test_it_is_built_on_any_machine_for_another(tmp_path: Path) -> None:
    """Without Docker: of the pinned wheels, for the processor that this machine has not, and Lambda's own Python."""
    there = zipfile.ZipFile(build(tmp_path, OTHER, RUNTIME, "--no-bytecode"))  # that needs a Python of this version
    assert machines(there) == {ELF_MACHINE[OTHER]}
    assert files(there, rf"_cffi_backend\.cpython-{RUNTIME.replace('.', '')}-.*\.so")


def test_without_that_python_it_says_what_to_do() -> None:
    """One line, and what to do."""
    done = script("--policy", str(POLICY), "--python", "3.99")
    assert done.returncode == 1
    assert done.stderr.startswith("no Python 3.99 was found to make the bytecode with: install it")
    assert "--no-bytecode" in done.stderr


def test_bytecode_is_there_for_every_source(packed: zipfile.ZipFile) -> None:
    """Taken as it is (PEP 552, unchecked): /var/task is read-only, and times in a zip mean nothing."""
    names = set(packed.namelist())
    tag = f"cpython-{PYTHON.replace('.', '')}"
    for name in files(packed, r".*\.py"):
        folder, _, file = name.rpartition("/")
        made = f"{folder}/__pycache__/{file[:-3]}.{tag}.pyc".lstrip("/")
        assert made in names, name
        assert packed.read(made)[4:8] == b"\x01\0\0\0"
    assert b"/tmp/" not in packed.read(f"bridge/__pycache__/acts.{tag}.pyc")  # nor the folder it was built in


def test_adapters_and_roads_are_found_by_entry_point(packed: zipfile.ZipFile, tmp_path: Path) -> None:
    """From the unpacked zip alone, each can be loaded."""
    packed.extractall(tmp_path)
    code = (
        "from importlib.metadata import entry_points\n"
        "for group in ('bridge.adapters', 'bridge.transports'):\n"
        "    for point in entry_points(group=group):\n"
        "        print(point.name, point.load().__module__)\n"
    )
    base = getattr(sys, "_base_executable", sys.executable)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([base, "-S", "-c", code], env=environment, capture_output=True, text=True, check=False)
    found = dict(line.split() for line in done.stdout.splitlines())
    assert done.returncode == 0, done.stderr
    assert {"mailchimp", "sendgrid", "memory", "smtp", "smtps", "mandrill", "sandbox"} <= found.keys()


def test_servers_of_ones_own_are_not_inside(packed: zipfile.ZipFile) -> None:
    """What comes up on a machine: no function opens it, and neither it nor gunicorn is in the zip."""
    assert not files(
        packed, r"(bridge/handlers/(gunicorn|server)\..*|bridge/handlers/__pycache__/(gunicorn|server)\..*)"
    )
    assert not files(packed, r"gunicorn/.*")
    assert files(packed, r"bridge/handlers/(web|worker)\.py")


def test_only_locales_that_we_ship_are_inside(packed: zipfile.ZipFile) -> None:
    """Of a thousand, those of the languages with a catalogue."""
    shipped = {path.stem for path in (HERE / "bridge" / "translations").glob("*.mo")}
    there = {re.split(r"[_.]", name.rpartition("/")[2])[0] for name in files(packed, r"babel/locale-data/.*\.dat")}
    assert there == shipped | {"root"}
    assert files(packed, r"bridge/translations/.*\.mo")


@pytest.mark.parametrize(
    "never",
    [
        r"(.*/)?(tests?|testing)/.*",
        r"bin/.*",
        r"(boto3|botocore|granian|aiosmtpd|pip|hatchling|pytest|moto)/.*",
        r"adapters/sandbox/.*",
        r".*\.(po|pyi|pyx|c|h)",
        r".*direct_url\.json",
        r".*/RECORD",
    ],
)
def test_nothing_is_inside_that_no_function_opens(packed: zipfile.ZipFile, never: str) -> None:
    """Commands, servers, toys, tests, Amazon's SDK, and whatever says where it was built."""
    assert files(packed, never) == []


def test_of_the_policys_folder_only_the_policy_is_inside(tmp_path: Path) -> None:
    """KEY-01: `.env` with the keys, the database, parked stops and whatever else lies there stays at home."""
    policy = tmp_path / "my-list"
    shutil.copytree(POLICY, policy)
    for name in (".env", "consent.db", "parked.stops", "notices/.env", "secret.json", "addresses.csv", "backup.keys"):
        (policy / name).write_text("secret")
    (policy / "logo.svg").write_text("<svg/>")
    (policy / "texts").mkdir()
    (policy / "texts" / "nl.toml").write_text("")
    text = (policy / "policy.toml").read_text()
    (policy / "policy.toml").write_text(re.sub(r"\[looks\]\n", '[looks]\nlogo = "logo.svg"\n', text, count=1))
    taken = files_of(policy)
    samples = {f"samples/newsletter.{language}.txt" for language in ("de", "en", "fr", "nl")}
    others = {name for name in taken if not name.startswith("notices/")}
    assert others == {"policy.toml", "logo.svg", "texts/nl.toml", *samples}
    assert all(name.endswith(".txt") for name in taken if name.startswith("notices/"))


def test_a_policy_that_no_function_would_start_with_is_refused(tmp_path: Path) -> None:
    """Before anything is built: each reason, as at a start."""
    policy = tmp_path / "my-list"
    shutil.copytree(POLICY, policy)
    next((policy / "notices").glob("*.txt")).unlink()
    done = script("--policy", str(policy), "--arch", ARCH, "--python", PYTHON, "--out", str(tmp_path))
    assert done.returncode == 1
    assert "notices/" in done.stderr
    assert not list(tmp_path.glob("*.zip"))


def test_a_policy_that_writes_to_a_disk_is_refused(tmp_path: Path) -> None:
    """CAP-06: a function has none, so checkpoints would be kept nowhere."""
    shutil.copytree(POLICY, tmp_path / "my-list")
    with (tmp_path / "my-list" / "policy.toml").open("a") as file:
        file.write('\n[checkpoints]\nfile = "checkpoints.jsonl"\n')
    with pytest.raises(
        SystemExit, match=r"checkpoints\.file: a function has no disk to write it to; use checkpoints\.mail"
    ):
        check(tmp_path / "my-list")


def test_it_says_its_size(tmp_path: Path) -> None:
    """And its hash. AWS takes 50 MB by hand and 250 MB unpacked."""
    if not has_wheels(ARCH, PYTHON):
        pytest.skip(NO_WHEELS)
    assert kept().stat().st_size < 35_000_000
    with zipfile.ZipFile(kept()) as packed:
        assert sum(one.file_size for one in packed.infolist()) < 110_000_000
