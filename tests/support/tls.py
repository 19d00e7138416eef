"""Certificates for local names and platform.test, made once per test session."""

from __future__ import annotations

import atexit
import ssl
import tempfile
from functools import cache
from pathlib import Path

import trustme


@cache
def server_context() -> ssl.SSLContext:
    """Return the context of a server whom client_context() trusts."""
    return _serving(_authority(), "127.0.0.1", "localhost", "platform.test")


@cache
def untrusted_server_context() -> ssl.SSLContext:
    """Return the context of a server whose authority nobody knows."""
    return _serving(trustme.CA(), "127.0.0.1", "localhost")


@cache
def misnamed_server_context() -> ssl.SSLContext:
    """Return the context of a server with a trusted certificate for another host."""
    return _serving(_authority(), "elsewhere.example")


@cache
def client_context() -> ssl.SSLContext:
    """Return the context of a client that trusts server_context() and no one else."""
    return ssl.create_default_context(cafile=str(ca_file()))


@cache
def ca_file() -> Path:
    """Return a PEM file with the authority behind server_context()."""
    folder = tempfile.TemporaryDirectory(prefix="support-ca-")
    atexit.register(folder.cleanup)
    path = Path(folder.name, "ca.pem")
    _authority().cert_pem.write_to_path(str(path))
    return path


@cache
def _authority() -> trustme.CA:
    return trustme.CA()


def _serving(authority: trustme.CA, *hosts: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*hosts).configure_cert(context)
    return context
