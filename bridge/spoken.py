"""Templates in one language: its sentences are put in when a template is compiled, not each time it is shown."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from jinja2 import Environment, TemplateAssertionError, nodes

_PLACE = re.compile(r"%(?:\((\w+)\)s|%)")


class SpokenEnvironment(Environment):
    """A Jinja environment in which `{{ _("…", name=value) }}` costs what the plain sentence would.

    Calls inside other expressions, and `ngettext`, stay what the i18n extension makes of them.
    """

    def __init__(self, gettext: Callable[[str], str], **options: Any) -> None:
        super().__init__(**options)
        self._gettext = gettext

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False
    ) -> str:
        for output in source.find_all(nodes.Output):
            output.nodes = [part for child in output.nodes for part in self._parts(child)]
        return super()._generate(source, name, filename, defer_init)

    def _parts(self, child: nodes.Expr) -> Iterator[nodes.Expr]:
        """One printed expression; a sentence as its fixed parts and its values between them."""
        call = _sentence(child)
        if call is None:
            yield child
            return
        values = {pair.key: pair.value for pair in call.kwargs}
        sentence = self._gettext(call.args[0].value)
        written = 0
        fixed = ""
        for place in _PLACE.finditer(sentence):
            fixed += sentence[written : place.start()]
            written = place.end()
            if place[1] is None:
                fixed += "%"
                continue
            if place[1] not in values:
                raise TemplateAssertionError(f"{sentence!r} needs a value for {place[1]!r}", child.lineno)
            yield _fixed(fixed, child.lineno)
            yield values[place[1]]
            fixed = ""
        yield _fixed(fixed + sentence[written:], child.lineno)


def _sentence(node: Any) -> Any:
    """The call `_("…", name=value)`, if that is what a node is."""
    simple = (
        isinstance(node, nodes.Call)
        and isinstance(node.node, nodes.Name)
        and node.node.name == "_"
        and len(node.args) == 1
        and isinstance(node.args[0], nodes.Const)
        and node.dyn_args is None
        and node.dyn_kwargs is None
    )
    return node if simple else None


def _fixed(text: str, line: int) -> nodes.Expr:
    """A translator's words are markup, as the template's own are."""
    return nodes.MarkSafe(nodes.Const(text, lineno=line), lineno=line)
