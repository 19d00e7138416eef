"""What can be done about it."""

from __future__ import annotations

import pytest

from conversimple import (
    CertificateRejected,
    HandshakeRefused,
    JoinRefused,
    PlatformUnreachable,
)
from conversimple.commands.cures import CURES, cure_of


@pytest.mark.parametrize("step", CURES)
def test_every_step_has_one(step: str) -> None:
    """For whatever went wrong in it."""
    assert cure_of(step, OSError("x")) == CURES[step]


@pytest.mark.parametrize(
    "error, word",
    [
        (CertificateRejected("x"), "SSL_CERT_FILE"),
        (PlatformUnreachable("x"), "proxy"),
        (JoinRefused("x", "unauthorized"), "proxy"),
        (HandshakeRefused("x", 403), "CONVERSIMPLE_API_KEY"),
        (HandshakeRefused("x", 402), "account"),
        (HandshakeRefused("x", 404), "path"),
        (HandshakeRefused("x", 407), "proxy"),
        (HandshakeRefused("x", 302), "path"),
        (HandshakeRefused("x", 429), "later"),
        (HandshakeRefused("x", 503), "later"),
    ],
)
def test_what_is_known_about_the_failure_counts(error: Exception, word: str) -> None:
    """The cure fits it."""
    assert word in cure_of("handshake", error)
