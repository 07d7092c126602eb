"""Toy ESPs and a mailbox: a process of their own that behaves like Mailchimp and SendGrid.

Only what starts that process is here, so that asking for its settings loads no web framework.
"""

import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

KEYS_FILE = "sandbox-keys.json"


class Sandbox:
    """How the demo starts the sandbox and what it must tell the bridge about it."""

    def __init__(self, folder: Path, port: int, bridge_url: str) -> None:
        """Make the webhook keys in `folder`, or take those that are there. Starts nothing."""
        self.port = port
        self.bridge_url = bridge_url.rstrip("/")
        self.keys_file = folder / KEYS_FILE
        self.keys = load_keys(self.keys_file) if self.keys_file.exists() else make_keys(self.keys_file)

    @property
    def url(self) -> str:
        """The page for people; the APIs are below it."""
        return f"http://127.0.0.1:{self.port}"

    def settings(self) -> dict[str, str]:
        """All settings the bridge needs to use these ESPs and this mailbox."""
        from adapters.sandbox.courier import public_key

        return {
            "BRIDGE_ADAPTERS": "mailchimp,sendgrid",
            "BRIDGE_MAIL_URL": f"smtp://127.0.0.1:{self.port + 1}",
            "MAILCHIMP_API_KEY": self.keys["mailchimp_api_key"],
            "MAILCHIMP_BASE_URL": f"{self.url}/mailchimp/3.0",
            "MAILCHIMP_WEBHOOK_SECRET": self.keys["mailchimp_path_secret"],
            "MAILCHIMP_WEBHOOK_SIGNING_SECRET": self.keys["mailchimp_signing_secret"],
            "SENDGRID_API_KEY": self.keys["sendgrid_api_key"],
            "SENDGRID_BASE_URL": f"{self.url}/sendgrid",
            "SENDGRID_WEBHOOK_PUBLIC_KEY": public_key(self.keys["sendgrid_private_key_pem"]),
        }

    def command(self) -> list[str]:
        """What starts the process; secrets go by file. It ends when the process that asks here ends."""
        options = ["--port", str(self.port), "--keys", str(self.keys_file), "--bridge-url", self.bridge_url]
        return [sys.executable, "-m", "adapters.sandbox", *options, "--parent", str(os.getpid())]


def make_keys(path: Path) -> dict[str, str]:
    """Draw new keys and keep them where only the owner reads them."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    keys = {
        "mailchimp_api_key": f"{secrets.token_hex(16)}-us1",
        "mailchimp_path_secret": secrets.token_urlsafe(24),
        "mailchimp_signing_secret": secrets.token_hex(24),
        "sendgrid_api_key": f"SG.{secrets.token_urlsafe(32)}",
        "sendgrid_private_key_pem": pem.decode(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(keys, file, indent=1)
    return keys


def load_keys(path: Path) -> dict[str, str]:
    """Read the keys again."""
    keys: dict[str, Any] = json.loads(path.read_text())
    return {name: str(value) for name, value in keys.items()}
