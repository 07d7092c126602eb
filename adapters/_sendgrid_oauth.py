"""OAuth for SendGrid's event webhook, where the operator switches it on there: SendGrid fetches a token here first."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Self
from urllib.parse import parse_qsl, unquote_plus

from bridge.adapter import Misconfigured, Unverified
from bridge.vocabulary import Incoming

#: Seconds a token lives.
_LIFE = 3600

#: Last part of the address that SendGrid is told as "Token URL".
PATH = "token"


class Tokens:
    """The client credentials grant (RFC 6749, 4.4). A token is its end and a keyed hash of it: nothing is stored."""

    def __init__(self, client: str, secret: str, clock: Callable[[], datetime]) -> None:
        self._client, self._secret, self._clock = client, secret, clock

    @classmethod
    def of(cls, settings: Mapping[str, str], clock: Callable[[], datetime]) -> Self | None:
        """As the settings say; None = OAuth is off."""
        client = settings.get("SENDGRID_WEBHOOK_OAUTH_ID", "")
        secret = settings.get("SENDGRID_WEBHOOK_OAUTH_SECRET", "")
        if not client and not secret:
            return None
        if not client or not secret:
            raise Misconfigured("SENDGRID_WEBHOOK_OAUTH_ID and SENDGRID_WEBHOOK_OAUTH_SECRET go together: set both")
        if len(secret) < 16:
            raise Misconfigured("SENDGRID_WEBHOOK_OAUTH_SECRET is too easy to guess: use 16 characters or more")
        return cls(client, secret, clock)

    def answer(self, call: Incoming) -> Mapping[str, object] | None:
        """A token for whoever shows both credentials, in the header or in the form. None = nothing is asked."""
        if call.secret != PATH:
            return None
        client, secret, grant = _credentials(call)
        right = [_same(client, self._client), _same(secret, self._secret)]
        if not all(right) or grant != "client_credentials":
            raise Unverified("not the client of SENDGRID_WEBHOOK_OAUTH_ID")
        end = str(int(self._clock().timestamp()) + _LIFE)
        return {"access_token": f"{end}.{self._mac(end)}", "token_type": "bearer", "expires_in": _LIFE}

    def verify(self, call: Incoming) -> None:
        """Raise `Unverified` unless the call carries a token of ours that lives."""
        kind, _, token = call.headers.get("authorization", "").partition(" ")
        end, _, mac = token.strip().partition(".")
        genuine = kind.lower() == "bearer" and _same(mac, self._mac(end))
        if not genuine or not end.isdigit() or int(end) < self._clock().timestamp():
            raise Unverified("no token of ours, or one that is too old")

    def _mac(self, end: str) -> str:
        key = self._secret.encode()
        return hmac.new(key, f"webhook token\n{self._client}\n{end}".encode(), hashlib.sha256).hexdigest()


def _credentials(call: Incoming) -> tuple[str, str, str]:
    """Client, secret and kind of grant as asked; empty where they cannot be read."""
    try:
        form = dict(parse_qsl(call.body.decode(), keep_blank_values=True, max_num_fields=20))
    except ValueError:
        form = {}
    client, secret = form.get("client_id", ""), form.get("client_secret", "")
    kind, _, given = call.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            client, _, secret = base64.b64decode(given.strip(), validate=True).decode().partition(":")
        except ValueError:
            client = secret = ""
        client, secret = unquote_plus(client), unquote_plus(secret)
    return client, secret, form.get("grant_type", "")


def _same(theirs: str, ours: str) -> bool:
    return hmac.compare_digest(theirs.encode(errors="replace"), ours.encode())
