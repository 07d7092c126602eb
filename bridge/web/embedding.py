"""What the operator's own site takes from us: the component, and the form it shows. The same for everybody."""

from flask import Blueprint, Response, request, send_file

from bridge import embedding
from bridge.texts import TEMPLATES
from bridge.web import forms
from bridge.web.app import bridge, language, page_of

bp = Blueprint("embedding", __name__)


@bp.get("/embed.js")
def component() -> Response:
    """The component: looked for anew after a day, and sent anew only where it changed."""
    return send_file(TEMPLATES / "static" / "embed.js", mimetype="text/javascript", max_age=86400)


@bp.get("/embed/<channel>")
def form(channel: str) -> Response:
    """A channel's form with the words in use. Any site may read it: it is nobody's, and no cookie comes with it."""
    house, spoken = bridge(), language()
    told = embedding.form(
        house.policy, house.notices, house.links, house.texts, channel=forms.channel(channel), language=spoken
    )
    answer = page_of(told.encode(), spoken)
    answer.headers["Access-Control-Allow-Origin"] = "*"
    answer.headers["Cache-Control"] = "public, max-age=300"
    answer.add_etag()
    answer.make_conditional(request)
    return answer
