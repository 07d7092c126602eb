"""Files that are there whole or not at all, and for their owner only: settings with keys, backups."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_PRIVATE = 0o600


@contextmanager
def whole(path: Path, *, replaces: bool = False) -> Iterator[BinaryIO]:
    """A file to be written, which takes its name only when all of it is on the disk. What fails leaves nothing.

    Unless it `replaces` one, an existing file is never touched. A replaced one keeps its mode and owner.
    """
    if not replaces and os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, "is there already and is never overwritten", str(path))
    part = path.with_name(path.name + ".part")
    number = _alone(part, path)
    try:
        with os.fdopen(number, "wb") as file:
            if replaces:
                before = path.stat()
                os.fchmod(number, before.st_mode & 0o777)
                if os.geteuid() == 0:
                    os.fchown(number, before.st_uid, before.st_gid)
            yield file
            file.flush()
            os.fsync(number)
            if replaces:
                part.replace(path)
            else:
                _name(part, path)
    except BaseException as error:
        with suppress(OSError):
            part.unlink()
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk names no file
        raise
    keep_name(path)


def keep_name(path: Path) -> None:
    """A new file survives a power cut only when its folder was written too."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _alone(part: Path, path: Path) -> int:
    """The file to write into, empty and held: what a killed program left is taken over."""
    number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, _PRIVATE)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not part.exists() or os.fstat(number).st_ino != part.stat().st_ino:
            raise BlockingIOError  # the other one has just finished
        os.fchmod(number, _PRIVATE)
        os.ftruncate(number, 0)
    except BlockingIOError:
        os.close(number)
        raise OSError(errno.EBUSY, "is being written by another program at this moment", str(path)) from None
    except BaseException:
        os.close(number)
        raise
    return number


def _name(part: Path, path: Path) -> None:
    """Give a file its name unless somebody else took it meanwhile."""
    try:
        os.link(part, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP):
            raise
        if os.path.lexists(path):  # a disk without hard links: as good as can be had there
            raise FileExistsError(errno.EEXIST, "is there already and is never overwritten", str(path)) from None
        part.rename(path)
    else:
        part.unlink()


def write_private(path: Path, text: str) -> None:
    """A new file that only its owner can read; an existing one is never overwritten."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
    with os.fdopen(file, "w", encoding="utf-8") as out:
        out.write(text)
