"""What is made once for good, without the garbage collector. Imports nothing of ours: it goes before all that does."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """Whatever is made now stays for good: the garbage collector need not look at it, now or later."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
