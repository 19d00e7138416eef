"""Claims: where they may be kept, and a worker that shares them with nobody."""

from __future__ import annotations

import pytest

from conversimple.errors import ConfigurationError
from conversimple.runtime.claims import Alone, check_claims, open_claims


@pytest.mark.parametrize(
    "place", ["file:/var/lib/claims", "redis://localhost:6379/0", "unix:///run/r.sock"]
)
def test_where_claims_may_be_kept(place: str) -> None:
    """A folder, or a Redis server, however it is reached."""
    check_claims(place)


@pytest.mark.parametrize("place", ["", "file:", "claims", "/tmp/claims", "http://h", 7])
def test_where_they_may_not(place: str) -> None:
    """Anything else is refused in words that say what to write."""
    with pytest.raises(ConfigurationError, match="claims"):
        check_claims(place)


def test_whoever_is_alone_gets_everything() -> None:
    """Without a place that is shared, what is taken is ours until it is released."""
    claims = open_claims(None, "c1")
    assert isinstance(claims, Alone)
    assert not claims.holds("conv_1")
    assert claims.take("conv_1", "shop") and claims.take("conv_1", "shop")
    assert claims.holds("conv_1")
    assert claims.renew() == []


def test_what_is_given_back_is_free() -> None:
    """What is not over may be taken again; what is over is forgotten."""
    claims = Alone()
    claims.note("conv_1", "shop")
    claims.take("conv_2", "shop")
    assert claims.free() == {"conv_1": "shop"}
    claims.release("conv_2", over=False)
    assert claims.free() == {"conv_1": "shop", "conv_2": "shop"}
    claims.release("conv_1", over=True)
    claims.take("conv_2", "shop")
    claims.close()
    assert claims.free() == {"conv_2": "shop"}
    assert not claims.holds("conv_2")
