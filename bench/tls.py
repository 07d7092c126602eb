"""A certificate for this machine alone, made for one run: the ESPs are reached over TLS, so their stand-in is too."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

#: Where the HTTP libraries under the ESPs' SDKs look for whom to trust: requests, then urllib.
_TRUST = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")

_NAMES = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
_LASTS = timedelta(days=7)


def server(certificate: Path) -> ssl.SSLContext:
    """What answers with a new certificate, which is written there; its key is written nowhere for longer."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = _certificate(key).public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    held = certificate.with_suffix(".key")  # the library reads a key from a file only
    try:
        held.touch(mode=0o600)
        held.write_bytes(secret + made)
        context.load_cert_chain(held)
    finally:
        held.unlink(missing_ok=True)
    certificate.write_bytes(made)
    return context


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Signed by itself: strict checks want it marked as what signs."""
    name, now, public = x509.Name([]), datetime.now(UTC), key.public_key()
    known = x509.SubjectKeyIdentifier.from_public_key(public)
    made = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=public,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(minutes=5),
        not_valid_after=now + _LASTS,
    )
    usage = dict.fromkeys(
        (
            *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
            *("crl_sign", "encipher_only", "decipher_only"),
        ),
        False,
    )
    made = (
        made.add_extension(_NAMES, critical=True)  # critical: the name itself is empty
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=True, **usage), critical=True)
        .add_extension(known, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known), critical=False)
    )
    return made.sign(key, hashes.SHA256())


@contextmanager
def trusted(certificate: Path) -> Iterator[None]:
    """The SDKs of this process trust that certificate alone: the cheapest case for who makes one call a person."""
    before = {name: os.environ.get(name) for name in _TRUST}
    os.environ.update(dict.fromkeys(_TRUST, str(certificate)))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
