"""What webhooks are compared with: django-anymail, which verifies, reads and names each event.

The receiver keeps every event once by `get_or_create`; it decides nothing.
"""

import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import make_url

from bridge.vocabulary import Incoming


class Anymail:
    """A Django application's webhook on one database."""

    def __init__(self, url: str, key: str) -> None:
        from django.db import connections
        from django.test import RequestFactory

        self._alias, self._requests = _database(url), RequestFactory()
        self._connection = connections[self._alias]
        with self._connection.schema_editor() as editor:
            editor.create_model(_model())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that SendGrid is no longer supported there
            from anymail.webhooks.sendgrid import SendGridTrackingWebhookView as View

            self._view = View.as_view(tracking_webhook_verification_key=key)

    def requests(self, calls: Sequence[Incoming]) -> list[Any]:
        """The calls as Django's server would hand them over."""
        made = self._requests.post
        return [made("/", call.body, content_type="application/json", headers=dict(call.headers)) for call in calls]

    def hear(self, request: Any) -> int:
        """How many events were new."""
        from anymail.signals import tracking

        new = []

        def receive(event: Any, **_more: Any) -> None:
            given = {"email": event.recipient, "type": event.event_type, "time": event.timestamp}
            _, made = _model().objects.using(self._alias).get_or_create(event_id=event.event_id, defaults=given)
            new.append(made)

        tracking.connect(receive)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                answer = self._view(request)
        finally:
            tracking.disconnect(receive)
        assert answer.status_code == 200
        return sum(new)

    def close(self) -> None:
        """Let go of the database."""
        from django.db import connections

        self._connection.close()
        del connections[self._alias]


@cache
def _model() -> Any:
    from django.db import models

    fields = {
        "event_id": models.CharField(max_length=64, unique=True),
        "email": models.CharField(max_length=320),
        "type": models.CharField(max_length=32),
        "time": models.DateTimeField(),
    }
    meta = type("Meta", (), {"app_label": "news", "db_table": "anymail_news"})
    return type("News", (models.Model,), {**fields, "__module__": __name__, "Meta": meta})


def _database(url: str) -> str:
    """The name under which Django knows this database: with the same settings as the floor has."""
    import django
    from django.conf import settings
    from django.db import connections

    address = make_url(url)
    kind = address.get_backend_name()
    if not settings.configured:
        settings.configure(DATABASES={"default": {}}, USE_TZ=True, ANYMAIL={}, ALLOWED_HOSTS=["*"])
        django.setup()
    engine = "sqlite3" if kind == "sqlite" else kind
    entry: dict[str, Any] = {"ENGINE": f"django.db.backends.{engine}", "NAME": address.database}
    if kind == "sqlite":
        entry["OPTIONS"] = {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL"}
    else:
        host = address.query.get("host", address.host)
        entry |= {"HOST": host, "PORT": address.port or "", "USER": address.username, "PASSWORD": address.password}
    alias = f"{kind}_news"
    connections.settings[alias] = connections.configure_settings({"default": {}, alias: entry})[alias]
    return alias
