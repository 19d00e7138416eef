"""What can be done about a step of ``conversimple check`` that failed."""

from __future__ import annotations

from ..errors import CertificateRejected, HandshakeRefused
from ..runtime.backoff import CREDENTIALS, WRONG_URL
from ..settings import API_KEY, CUSTOMER_ID, PLATFORM_URL

CURES = {
    "settings": "correct the setting that is named, and check again",
    "DNS": f"check the host name in {PLATFORM_URL}, and this machine's name servers",
    "TCP": (
        f"start the platform (`conversimple platform` starts a local one), or check "
        f"host and port in {PLATFORM_URL}, and the firewalls between"
    ),
    "TLS": (
        f"check that the port in {PLATFORM_URL} serves TLS; an address without TLS "
        "begins with ws://"
    ),
    "handshake": (
        f"check that {PLATFORM_URL} is the address of a platform, and that no proxy "
        "between refuses WebSockets"
    ),
    "join": f"check that {CUSTOMER_ID} belongs to {API_KEY}",
}
CERTIFICATE = (
    f"use the host name of the certificate in {PLATFORM_URL}; if an authority of your "
    "own signed it, name its file in SSL_CERT_FILE or pass ssl_context= to the agent"
)
KEY = f"check {API_KEY} and {CUSTOMER_ID}, and that the account is active"
ADDRESS = f"check the path in {PLATFORM_URL}, which usually ends in /sdk/websocket"
PROXY = "put the right user name and password into the proxy's address (https_proxy)"
LATER = "try again later, as agents do by themselves"


def cure_of(step: str, error: Exception) -> str:
    """What to do about a failure.

    Args:
        step: the step that failed.
        error: why.
    """
    if isinstance(error, CertificateRejected):
        return CERTIFICATE
    if isinstance(error, HandshakeRefused):
        return _cure_of_refusal(error.status)
    return CURES[step]


def _cure_of_refusal(status: int) -> str:
    if status == 407:
        return PROXY
    if status in WRONG_URL or 300 <= status < 400:
        return ADDRESS
    return KEY if status in CREDENTIALS else LATER
