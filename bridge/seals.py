"""The seal keys (`BRIDGE_SEAL_KEYS`): they sign checkpoints, receipts and packs with Ed25519, and nothing else.

The 32 bytes of a key in the settings are the private key of RFC 8032. The newest signs; all verify.
"""

from base64 import b64encode
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from bridge.verifier import PROOF, Keys, receipt_bytes, signed_bytes

SIZE = 32


class Seals:
    """All signing. `keys` are those of the setting: id, secret, and whether it waits; newest first."""

    def __init__(self, keys: Sequence[tuple[str, bytes, bool]]) -> None:
        self._secrets = {kid: secret for kid, secret, _ in keys}
        self.newest = next((kid for kid, _, waits in keys if not waits), "")

    def __bool__(self) -> bool:
        """Whether anything can be signed here."""
        return bool(self.newest)

    def __contains__(self, kid: str) -> bool:
        return kid in self._secrets

    @property
    def kids(self) -> tuple[str, ...]:
        """The ids, newest first."""
        return tuple(self._secrets)

    @cached_property
    def keys(self) -> Keys:
        """The public side, for checking."""
        return Keys([private.public_key() for private in self._private.values()])

    def sign(self, kind: str, value: Any) -> str:
        """A signature by the newest key over what kind of thing it is and its canonical bytes, in base64."""
        return b64encode(self._private[self.newest].sign(signed_bytes(kind, value))).decode()

    def sign_receipt(self, receipt: dict[str, Any]) -> dict[str, Any]:
        """A receipt with its proof inside."""
        told = {**receipt, PROOF: {"@type": "cb:Ed25519Signature", "cb:key": self.newest, "cb:signature": ""}}
        signature = b64encode(self._private[self.newest].sign(receipt_bytes(told))).decode()
        return {**told, PROOF: {**told[PROOF], "cb:signature": signature}}

    def pem(self) -> str:
        """Every public key as PEM, newest first, its id on a line above."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        parts = []
        for kid, private in self._private.items():
            pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
            parts.append(f"# seal key {kid}\n{pem}")
        return "".join(parts)

    @cached_property
    def _private(self) -> dict[str, Any]:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return {kid: Ed25519PrivateKey.from_private_bytes(secret) for kid, secret in self._secrets.items()}
