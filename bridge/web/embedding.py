"""What the operator's own site takes from us: the component, and the form it shows. The same for everybody."""

from flask import Blueprint, Response, abort, jsonify, request, send_file

from bridge import embedding
from bridge.links import TASK_BITS
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
    its, known = (house.policy, house.notices, house.links, house.texts), forms.channel(channel)
    told = embedding.form(*its, channel=known, language=spoken, scripted=True)
    answer = page_of(told.encode(), spoken)
    answer.headers["Access-Control-Allow-Origin"] = "*"
    answer.headers["Cache-Control"] = "public, max-age=300"
    answer.add_etag()
    answer.make_conditional(request)
    return answer


@bp.get("/embed/<channel>/task")
def task(channel: str) -> Response:
    """What the component counts on, one for each form (CAP-10). It is nobody's: anybody can have as many as there are
    pages with our own form, and each has to be solved."""
    house = bridge()
    forms.channel(channel)
    if not house.policy.sign_up.proof_of_work:
        abort(404)
    answer = jsonify(task=house.links.task(house.clock()), bits=TASK_BITS)
    answer.headers["Access-Control-Allow-Origin"] = "*"
    return answer
