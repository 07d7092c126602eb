"""Every request of ours is judged against the vendors' own documents (decision 33).

The documents lie outside the project, at CONTRACTS_DIR; where they are missing, requests pass unjudged and the end of
the test run says so in one line.
"""

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from openapi_core import Config, OpenAPI
from openapi_core.contrib.requests import RequestsOpenAPIRequest
from openapi_core.contrib.werkzeug import WerkzeugOpenAPIRequest
from openapi_core.exceptions import OpenAPIError
from openapi_core.templating.paths.exceptions import PathNotFound
from werkzeug import Request

ROOT = Path(__file__).parents[2]
CONTRACTS = Path(os.environ.get("CONTRACTS_DIR") or ROOT / ".." / "shared" / "contracts").resolve()
MAILCHIMP = CONTRACTS / "mailchimp-marketing.mock.json"
SENDGRID = CONTRACTS / "sendgrid-v3.mock.json"

MISSING = not (MAILCHIMP.is_file() and SENDGRID.is_file())


@cache
def document(path: Path) -> OpenAPI | None:
    """The document, read once; None where it is not there."""
    if not path.is_file():
        return None
    return OpenAPI.from_dict(json.loads(path.read_text()), config=Config(spec_validator_cls=None))


def complaint_about_mailchimp(request: Any) -> str:
    """What is wrong with a request the Mailchimp SDK made, or nothing."""
    return _complaint(document(MAILCHIMP), RequestsOpenAPIRequest(request))


class _AtSendGrid(WerkzeugOpenAPIRequest):
    """A request that reached our server, as if it had gone to SendGrid."""

    host_url = "https://api.sendgrid.com"  # type: ignore[assignment]  # a property there

    @property
    def path(self) -> str:
        """As it came over the wire: an encoded slash is no slash."""
        sent = self.request.environ.get("RAW_URI")
        return unquote(sent.partition("?")[0].replace("%2F", "%252F")) if sent else self.request.path


def complaint_about_sendgrid(request: Any) -> str:
    """What is wrong with a request the SendGrid SDK made, or nothing."""
    return _complaint(document(SENDGRID), _AtSendGrid(request))


def judge_for_the_sandbox(request: Request) -> None:
    """Refuse what a vendor's document refuses; the sandbox keeps the reason."""
    complaint = _complaint(*_at_its_vendor(request))
    if complaint:
        raise ValueError(complaint)


def _at_its_vendor(request: Request) -> tuple[OpenAPI | None, Any]:
    esp, _, path = request.path.removeprefix("/").partition("/")
    vendor = {"mailchimp": "https://us1.api.mailchimp.com", "sendgrid": "https://api.sendgrid.com"}[esp]
    wrapped = type("_AtVendor", (WerkzeugOpenAPIRequest,), {"host_url": vendor, "path": f"/{path}"})(request)
    return document(MAILCHIMP if esp == "mailchimp" else SENDGRID), wrapped


def _complaint(judge: OpenAPI | None, request: Any) -> str:
    if judge is None:
        return ""
    try:
        judge.validate_request(request)
    except PathNotFound as error:
        return "" if _is_only_named(judge, request) else f"{request.method} {request.path}: {error!r}"
    except OpenAPIError as error:
        causes = getattr(error.__cause__, "schema_errors", ())
        return f"{request.method} {request.path}: {error!r} {[cause.message for cause in causes]}"
    return ""


def _is_only_named(judge: OpenAPI, request: Any) -> bool:
    """Whether the document names this address and does not describe it, as Mailchimp's does with some that are read."""
    structure = judge.spec.contents().get("x-doc-structure", {}).get("resources", {})
    named = {path for resource in structure.values() for path in resource.get("paths", ())}
    path = "/" + request.path.partition("/3.0/")[2]
    patterns = (re.sub(r"\\{\w+\\}", "[^/]+", re.escape(one)) for one in named)
    return request.method.lower() == "get" and any(re.fullmatch(pattern, path) for pattern in patterns)


def sample(name: str) -> Any:
    """One of the vendors' sample files; skips where they are missing."""
    path = CONTRACTS / "samples" / name
    if not path.is_file():
        pytest.skip(f"official samples not found: {name}")
    return json.loads(path.read_text())
