"""Templates in one language say what the i18n extension would say, only sooner."""

import pytest
from jinja2 import DictLoader, Environment, TemplateAssertionError, select_autoescape
from markupsafe import Markup

from bridge.spoken import SpokenEnvironment

WORDS = {
    "Hello %(name)s, 100%% of %(what)s": "<b>%(what)s</b> is voor 100%% van %(name)s",
    "Plain": "Gewoon & klaar",
    "Half %(name)s": "Half",
    "Wrong": "Verkeerd %(nobody)s",
}
PAGES = {
    "hello.html": '{{ _("Hello %(name)s, 100%% of %(what)s", name=name, what=what) }}!',
    "plain.html": '<p>{{ _("Plain") }} {{ _("Plain")|upper }} {{ name }}</p>',
    "plain.txt": '{{ _("Hello %(name)s, 100%% of %(what)s", name=name, what=what) }} {{ _("Plain") }}',
    "fewer.html": '{{ _("Half %(name)s", name=name) }}',
    "wrong.html": '{{ _("Wrong") }}',
}


def _environment(kind: type[Environment], *first: object) -> Environment:
    made = kind(
        *first,
        loader=DictLoader(PAGES),
        extensions=["jinja2.ext.i18n"],
        autoescape=select_autoescape(enabled_extensions=("html",), default=False),
    )
    many = {"ngettext": lambda one, many, count: one if count == 1 else many}
    made.install_gettext_callables(WORDS.__getitem__, many["ngettext"], newstyle=True)
    return made


@pytest.fixture
def spoken() -> Environment:
    return _environment(SpokenEnvironment, WORDS.__getitem__)


@pytest.mark.parametrize("page", ["hello.html", "plain.html", "plain.txt", "fewer.html"])
@pytest.mark.parametrize("name", ["An", "<i>An</i> & co", Markup("<i>An</i>")])
def test_a_page_reads_as_the_extension_would_have_it(spoken, page, name):
    usual = _environment(Environment)

    assert spoken.get_template(page).render(name=name, what="90 %") == usual.get_template(page).render(
        name=name, what="90 %"
    )


def test_a_readers_text_stays_text(spoken):
    said = spoken.get_template("hello.html").render(name="<script>", what="x")

    assert "&lt;script&gt;" in said
    assert "<b>x</b>" in said  # a translator's words are markup, as the template's own are


def test_a_sentence_that_wants_what_the_template_does_not_give_fails_before_anybody_sees_it(spoken):
    with pytest.raises(TemplateAssertionError, match="nobody"):
        spoken.get_template("wrong.html")
