"""Looking for what must not be there: a word in files, in clear and in every dress that hides nothing (RGT-04)."""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote


def dresses(word: str) -> dict[str, bytes]:
    """A word as typed, in lower and in upper case; each in clear, hex, UTF-16, percents, base64 as it looks in each of
    three places, and as its plain hashes; by name."""
    return {f"{word[:1]}… {name}": dress for form in _cases(word) for name, dress in _dressed(form)}


def _cases(word: str) -> list[str]:
    return list(dict.fromkeys((word, word.lower(), word.upper())))


def _dressed(word: str) -> Iterator[tuple[str, bytes]]:
    raw = word.encode()
    case = "upper" if word.isupper() else "lower" if word.islower() else "typed"
    yield f"{case}, in clear", raw
    yield f"{case}, in percents", quote(word, safe="").encode()
    yield f"{case}, all in percents", "".join(f"%{byte:02X}" for byte in raw).encode()
    for name in ("utf-16-le", "utf-16-be"):
        yield f"{case}, in {name}", word.encode(name)
    yield from _written(f"{case}, ", raw, at=range(3))
    for name in ("md5", "sha1", "sha256"):
        value = hashlib.new(name, raw).digest()
        yield f"{case}, its {name}", value
        yield from _written(f"{case}, its {name} ", value, at=(0,))


def _written(name: str, raw: bytes, at: Iterable[int]) -> Iterator[tuple[str, bytes]]:
    yield f"{name}in hex", raw.hex().encode()
    yield f"{name}in upper hex", raw.hex().upper().encode()
    for shift in at:  # what stands before it moves its letters
        for kind, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
            encoded = encode(b"\0" * shift + raw)
            yield f"{name}in {kind} at {shift}", encoded[4 if shift else 0 : len(encoded) - 4]


def files_with(paths: Iterable[Path], needles: Mapping[str, bytes]) -> list[str]:
    """Which of these files hold which needle: the name of the file and of the dress, never the word."""
    found = []
    for path in paths:
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # a log of SQLite's that was ended meanwhile
            continue
        found += [f"{path.name}: {dress}" for dress, needle in needles.items() if needle in content]
    return found
