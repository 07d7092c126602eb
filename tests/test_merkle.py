"""Trees of digests as RFC 9162 has them: decision 14, CAP-06."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.merkle import Tree
from bridge.verifier import Bad, root_of


def digests(count: int) -> list[bytes]:
    """So many different ones."""
    return [sha256(str(number).encode()).digest() for number in range(count)]


def plain(leaves: list[bytes]) -> bytes:
    """RFC 9162, 2.1.1, word for word."""
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while 2 * split < len(leaves):
        split *= 2
    return sha256(b"\x01" + plain(leaves[:split]) + plain(leaves[split:])).digest()


@pytest.mark.parametrize("count", [*range(18), 1023, 1024, 1025, 2048, 2500, 4096, 5000])
def test_the_root_is_that_of_the_rfc(count: int) -> None:
    """Decision 14: whatever comes at once, and wherever a block of ours ends."""
    leaves = digests(count)
    for step in (1, 7, 1024, 10_000):
        tree = Tree()
        for first in range(0, count, step):
            tree.add(leaves[first : first + step])
        assert tree.root() == plain(leaves)
        assert tree.count == count


@given(st.integers(1, 3000), st.data())
@settings(max_examples=60)
def test_a_path_proves_one_leaf_in_one_place_and_nothing_else(count: int, data: st.DataObject) -> None:
    """Decision 14: RFC 9162, 2.1.3: with another leaf, place, size, or any step of the path changed it proves nothing."""
    leaves = digests(count)
    index = data.draw(st.integers(0, count - 1))
    tree = Tree(keep={index})
    tree.add(leaves)
    path, root = tree.path(index), tree.root()
    assert root_of(leaves[index], index, count, path) == root

    def proves(digest: bytes, at: int, size: int, way: list[bytes]) -> bool:
        try:
            return root_of(digest, at, size, way) == root
        except Bad:
            return False

    other = data.draw(st.integers(0, 2 * count))
    assert proves(leaves[index], other, count, path) is (other == index)
    assert not proves(sha256(b"another").digest(), index, count, path)
    assert not proves(leaves[index], index, count, [*path, bytes(32)])
    if path:
        step = data.draw(st.integers(0, len(path) - 1))
        assert not proves(leaves[index], index, count, [*path[:step], bytes(32), *path[step + 1 :]])
        assert not proves(leaves[index], index, count, path[:step] + path[step + 1 :])


def test_a_path_of_a_leaf_that_was_not_kept_is_not_made_up() -> None:
    """Decision 14: it is refused, and so is a leaf that is not there."""
    tree = Tree(keep={5})
    tree.add(digests(3000))
    for index in (1500, 3000, -1):
        with pytest.raises(IndexError):
            tree.path(index)
    assert tree.path(5)
    assert tree.path(2999), "the last block is always there"
