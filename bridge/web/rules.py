"""Routes of which only what is asked for is made."""

from collections.abc import Callable
from functools import cache

from werkzeug.routing import Rule


class Route(Rule):
    """A route that learns to write its own address when that is wanted first. No page of ours wants it, and for forty
    routes it takes as long as loading Flask, at each cold start."""

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        compiled = cache(super()._compile_builder)
        return lambda self, *told, **values: compiled(append_unknown).__get__(self, None)(*told, **values)
