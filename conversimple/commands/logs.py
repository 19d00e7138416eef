"""The log of a command goes to standard error."""

from __future__ import annotations

import logging

from ..settings import log_level

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
SDK_LOGGER = "conversimple"


def configure_logging() -> None:
    """Write the log to standard error.

    The SDK's own level is taken from the environment; INFO is the default.

    Raises:
        ConfigurationError: the environment names a level that does not exist.
    """
    level = log_level() or "INFO"
    logging.basicConfig(level=logging.INFO, format=FORMAT)
    logging.getLogger(SDK_LOGGER).setLevel(level)
