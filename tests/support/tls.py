"""A certificate of our own for 127.0.0.1, made by the `openssl` command for the tests that run."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="the openssl command is not installed"
)


@cache
def certificate() -> bytes:
    """Return key and certificate in PEM."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pem"
        subprocess.run(
            [
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-nodes", "-keyout", "key", "-out", "cert", "-subj", "/CN=127.0.0.1",
                "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2",
            ],
            cwd=folder,
            check=True,
            capture_output=True,
        )  # fmt: skip
        path.write_bytes((path.parent / "key").read_bytes() + (path.parent / "cert").read_bytes())
        return path.read_bytes()


def server_context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.NamedTemporaryFile() as file:
        file.write(certificate())
        file.flush()
        context.load_cert_chain(file.name)
    return context


def client_context() -> ssl.SSLContext:
    """Return a context that trusts that certificate."""
    return ssl.create_default_context(cadata=certificate().decode())
