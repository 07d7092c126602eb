"""A Merkle tree (RFC 9162, 2.1) of many leaves: its root, and the path that proves one of them. Nothing else."""

from collections.abc import Collection, Iterable
from hashlib import sha256

from bridge.verifier import node_hash

_BLOCK = 1024


class Tree:
    """Takes leaves in order, any number, and keeps one hash for each 1024 of them.

    Only of leaves in `keep` (by index) a path can be asked: of the blocks they stand in, all leaves are kept.
    """

    def __init__(self, keep: Collection[int] = ()) -> None:
        self.count = 0
        self._wanted = {index // _BLOCK for index in keep}
        self._blocks: list[bytes] = []
        self._kept: dict[int, list[bytes]] = {}
        self._rest: list[bytes] = []

    def add(self, digests: Iterable[bytes]) -> None:
        """Some more leaves."""
        self._rest += [sha256(b"\x00" + digest).digest() for digest in digests]
        done = 0
        while len(self._rest) - done >= _BLOCK:
            block = self._rest[done : done + _BLOCK]
            if len(self._blocks) in self._wanted:
                self._kept[len(self._blocks)] = block
            self._blocks.append(_whole(block))
            done += _BLOCK
        if done:
            self._rest = self._rest[done:]
        self.count = len(self._blocks) * _BLOCK + len(self._rest)

    def root(self) -> bytes:
        """The root; of no leaves the hash of nothing."""
        return self._over(0, self.count) if self.count else sha256().digest()

    def path(self, index: int) -> list[bytes]:
        """What proves that the leaf at `index` is there, from beside it up to the root. IndexError for one not kept."""
        if not 0 <= index < self.count:
            raise IndexError("no such leaf")
        found = []
        first, last = 0, self.count
        while last - first > 1:
            middle = first + _split(last - first)
            if index < middle:
                found.append(self._over(middle, last))
                last = middle
            else:
                found.append(self._over(first, middle))
                first = middle
        return found[::-1]

    def _over(self, first: int, last: int) -> bytes:
        """The hash over leaves first to last (not with it)."""
        size = last - first
        if size == _BLOCK and first % _BLOCK == 0:
            return self._blocks[first // _BLOCK]
        if size == 1:
            return self._leaf(first)
        middle = first + _split(size)
        return node_hash(self._over(first, middle), self._over(middle, last))

    def _leaf(self, index: int) -> bytes:
        block, place = divmod(index, _BLOCK)
        if block == len(self._blocks):
            return self._rest[place]
        if block not in self._kept:
            raise IndexError("this leaf was not kept")
        return self._kept[block][place]


def _whole(hashes: list[bytes]) -> bytes:
    """The hash over a block: its leaves are a power of two."""
    while len(hashes) > 1:
        hashes = [
            sha256(b"\x01" + left + right).digest() for left, right in zip(hashes[::2], hashes[1::2], strict=True)
        ]
    return hashes[0]


def _split(size: int) -> int:
    """The largest power of two below a size."""
    return 1 << ((size - 1).bit_length() - 1)
