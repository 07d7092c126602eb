"""Changing one setting in a settings file, and nothing else in it."""

from pathlib import Path

from bridge.files import whole
from bridge.settings import BadSetting, read_env_file


def holds(file: Path, name: str, value: str) -> bool:
    """Whether this file is where a setting that counts comes from."""
    return read_env_file(file).get(name, "") == value


def change(file: Path, name: str, value: str) -> None:
    """Give a setting another value: the whole file or nothing of it, its mode kept."""
    text = file.read_bytes().decode("utf-8")
    lines = text.splitlines(keepends=True)
    mine = [number for number, line in enumerate(lines) if _name(line) == name]
    if len(mine) > 1:
        raise BadSetting(f"{file.name}: {name} stands there {len(mine)} times; keep one")
    if mine:
        line = lines[mine[0]]
        lines[mine[0]] = f"{line.partition('=')[0]}={value}{line[len(line.rstrip()) :]}"
    else:
        before = "" if not text or text.endswith("\n") else "\n"
        lines.append(f"{before}{name}={value}\n")
    with whole(file.resolve(), replaces=True) as out:
        out.write("".join(lines).encode("utf-8"))


def _name(line: str) -> str:
    text = line.lstrip("\ufeff").strip()
    return "" if text.startswith("#") else text.removeprefix("export ").partition("=")[0].strip()
