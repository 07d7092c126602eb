"""Build the zip that runs on AWS Lambda: pinned wheels for its processor, our code, your policy. No Docker.

    python scripts/lambda_zip.py --policy my-list                 # build/lambda-arm64.zip for Python 3.13
    python scripts/lambda_zip.py --policy my-list --arch x86_64

The same input gives the same bytes, in whatever folder and however often. The bytecode is made by the Python that will
run it (a cold start without takes three times as long), so a Python of that version must be on this machine too.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent
PINS = HOUSE / "pins" / "lambda.txt"

#: Lambda's processors, as wheels name them.
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}

#: The newest C library that Lambda's systems are sure to have, and everything older.
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_26", "manylinux_2_24", "manylinux_2_17", "manylinux2014")

#: Where Lambda unpacks it.
TASK = "/var/task"

#: What AWS takes, unpacked.
MOST_BYTES = 250 * 1024 * 1024

#: What no function opens: programs, type stubs, sources of extensions, translators' files, servers of one's own, the
#: demo and its sandbox.
_UNUSED = (
    "bin",
    "adapters/sandbox",
    "templates/demo",
    "templates/starter",
    "**/__pycache__",
    "**/*.pyi",
    "**/*.pyx",
    "**/*.pxd",
    "**/*.[ch]",
    "bridge/translations/*.po",
    "bridge/migrations/script.py.mako",
    "bridge/handlers/gunicorn.py",
    "bridge/handlers/server.py",
    "babel/messages",
    "**/tests",
    "**/testing",
    "test",
)

#: What is kept of each package's papers: its name for `importlib.metadata`, its entry points, its licence.
_PAPERS = ("METADATA", "entry_points.txt", "LICEN[CS]E*", "licenses")

_PIP = (sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", "--no-input")


#: Asked of the Python that will run it: is there bytecode of exactly each source, marked to be taken unchecked?
_CHECK = """
import pathlib, sys
from importlib.util import cache_from_source, source_hash
for path in pathlib.Path(sys.argv[1]).rglob("*.py"):
    head = pathlib.Path(cache_from_source(path)).read_bytes()[:16]
    if head[4:] != bytes((1, 0, 0, 0)) + source_hash(path.read_bytes()):
        sys.exit(f"{path.name}: its bytecode is of another source")
"""


def build(policy: Path, arch: str, version: str, out: Path, interpreter: str | None) -> Path:
    """Build one zip and say what it is."""
    languages, wheels = check(policy), fetch(arch, version)
    folder, packed = out / f"lambda-{arch}", out / f"lambda-{arch}.zip"
    shutil.rmtree(folder, ignore_errors=True)
    packed.unlink(missing_ok=True)
    folder.mkdir(parents=True)
    install(folder, wheels, arch, version)
    prune(folder, languages)
    for name in files_of(policy):
        (folder / "policy" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(policy / name, folder / "policy" / name)
    if interpreter:
        compile_all(folder, interpreter)
    pack(folder, packed)
    unpacked = sum(path.stat().st_size for path in files(folder))
    if unpacked > MOST_BYTES:
        sys.exit(f"{unpacked / 1e6:.1f} MB unpacked: AWS takes {MOST_BYTES / 1e6:.0f}")
    digest = hashlib.sha256(packed.read_bytes()).hexdigest()
    speed = "" if interpreter else ", no bytecode: starts will be slow"
    print(f"{packed}: {packed.stat().st_size / 1e6:.1f} MB, {unpacked / 1e6:.1f} MB unpacked, sha256 {digest}{speed}")
    return packed


def check(policy: Path) -> tuple[str, ...]:
    """Refuse a policy that no function would start with; its languages."""
    from bridge.notices import NoticeError, read
    from bridge.policy import PolicyError, load

    try:
        told = load(policy / "policy.toml")
        read(told, policy)
    except (PolicyError, NoticeError) as error:
        sys.exit(f"{policy}: {error}")
    if told.checkpoints.file:
        sys.exit(f"{policy}: checkpoints.file: a function has no disk to write it to; use checkpoints.mail")
    return tuple(told.languages)


def files_of(policy: Path) -> list[str]:
    """What a policy consists of, by name: never what else lies in its folder, such as `.env` with the keys."""
    told = tomllib.loads((policy / "policy.toml").read_text(encoding="utf-8"))
    named = [told.get("looks", {}).get("logo", ""), *(one.get("asset", "") for one in told.get("channels", []))]
    named += [file for purpose in told.get("purposes", []) for file in purpose.get("sample", {}).values()]
    here = {name for name in named if name and (policy / name).is_file()}
    notices = {str(path.relative_to(policy)) for path in (policy / "notices").rglob("*.txt")}
    own = {str(path.relative_to(policy)) for path in (policy / "texts").glob("*.toml")}
    return sorted({"policy.toml", *here, *notices, *own})


def kind_of(arch: str, version: str) -> list[str]:
    """How pip is told for which machine it works."""
    platforms = [word for name in PLATFORMS for word in ("--platform", f"{name}_{MACHINES[arch]}")]
    return ["--implementation", "cp", "--python-version", version, *platforms, "--only-binary", ":all:", "--no-deps"]


def fetch(arch: str, version: str) -> Path:
    """The folder of the pinned wheels of that processor and Python; the index is asked once only."""
    digest = hashlib.sha256(PINS.read_bytes()).hexdigest()[:12]
    folder = HOUSE / "build" / "wheels" / f"{arch}-{version}-{digest}"
    if not (folder / "all").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        run(*_PIP, "download", *kind_of(arch, version), "-d", str(folder), "--require-hashes", "-r", str(PINS))
        (folder / "all").touch()
    return folder


def install(folder: Path, wheels: Path, arch: str, version: str) -> None:
    """Those wheels, and this project with its entry points."""
    options = ["--no-index", "--no-compile", "--no-deps", "--target", str(folder)]
    there = ["--find-links", str(wheels), "--require-hashes", "-r", str(PINS)]
    run(*_PIP, "install", *options, *kind_of(arch, version), *there)
    run(*_PIP, "install", *options, "--no-build-isolation", "--upgrade", str(HOUSE))


def prune(folder: Path, languages: tuple[str, ...]) -> None:
    """Take out what no function needs, and what is another one each time it is built."""
    for pattern in _UNUSED:
        for path in sorted(folder.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shipped = {path.stem for path in (folder / "bridge" / "translations").glob("*.mo")}
    wanted = ("root", *sorted({code.partition("-")[0] for code in {*shipped, *languages}}))
    for path in (folder / "babel" / "locale-data").glob("*.dat"):
        if path.stem.partition("_")[0] not in wanted:
            path.unlink()
    for papers in folder.glob("*.dist-info"):
        kept = {path for pattern in _PAPERS for path in papers.glob(pattern)}
        for path in set(papers.iterdir()) - kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def compile_all(folder: Path, interpreter: str) -> None:
    """Bytecode that is taken as it is: /var/task can be written by nobody, and times of files in a zip mean nothing."""
    options = ["-q", "-j", "1", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", TASK]
    run(interpreter, "-m", "compileall", *options, str(folder), env={**os.environ, "PYTHONHASHSEED": "0"})
    run(interpreter, "-c", _CHECK, str(folder))


def pack(folder: Path, packed: Path) -> None:
    """The same files give the same bytes: in order, without times, owners or this machine's rights."""
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as out:
        for path in files(folder):
            about = zipfile.ZipInfo(path.relative_to(folder).as_posix())
            about.compress_type, about.external_attr, about.create_system = zipfile.ZIP_DEFLATED, 0o100644 << 16, 3
            out.writestr(about, path.read_bytes())


def files(folder: Path) -> Iterator[Path]:
    """Every file, in an order of its own."""
    yield from sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.as_posix())


def find_python(version: str) -> str | None:
    """A Python of that version on this machine."""
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for name in (sys.executable, f"python{version}", *map(str, kept)):
        path = shutil.which(name)
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        told = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False) if path else None
        if told and told.stdout.strip() == version:
            return path
    return None


def run(*command: str, env: dict[str, str] | None = None) -> None:
    """One program; its own words say what went wrong."""
    if subprocess.run(command, env=env, check=False).returncode:
        sys.exit(f"failed: {' '.join(command[:4])} ...")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--policy", type=Path, help="the folder with policy.toml and notices/")
    parser.add_argument("--fetch", action="store_true", help="only fetch the wheels, for builds without a network")
    parser.add_argument("--arch", choices=sorted(MACHINES), default="arm64")
    parser.add_argument("--python", default="3.13", help="the version in serverless.yml [3.13]")
    parser.add_argument("--interpreter", help="a Python of that version, where it is not found")
    parser.add_argument(
        "--no-bytecode", action="store_true", help="without it; then any Python builds, starts are slow"
    )
    parser.add_argument("--out", type=Path, default=HOUSE / "build")
    told = parser.parse_args()
    if told.fetch:
        fetch(told.arch, told.python)
        return
    if told.policy is None:
        parser.error("--policy is missing: the folder that `consent-bridge init` made, filled in")
    interpreter = None if told.no_bytecode else told.interpreter or find_python(told.python)
    if not interpreter and not told.no_bytecode:
        sys.exit(
            f"no Python {told.python} was found to make the bytecode with: install it, name it with --interpreter, "
            "or build without, for slow starts: --no-bytecode"
        )
    build(told.policy, told.arch, told.python, told.out.resolve(), interpreter)


if __name__ == "__main__":
    main()
