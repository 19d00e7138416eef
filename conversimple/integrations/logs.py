"""Where warnings go if the application's log has no place for them."""

from __future__ import annotations

import logging
import sys

#: The log of the whole SDK.
SDK = "conversimple"
FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class LastResort(logging.Handler):
    """Writes to standard error what no other handler would be told of.

    It looks for these each time: many applications configure their log late.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write it, unless somebody else does."""
        if is_heard(record.name):
            return
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except Exception:  # as all handlers do: a full disk, say, stops no agent
            self.handleError(record)


def is_heard(name: str = SDK) -> bool:
    """Whether the application has a handler for this logger."""
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        if not all(isinstance(each, _SILENT) for each in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


def keep_warnings() -> None:
    """Have warnings and errors of the SDK written somewhere.

    Neither Flask nor Django nor gunicorn give the logs of libraries a place by
    themselves. It does no harm to call it again.
    """
    logging.getLogger(SDK).addHandler(_last_resort)


_SILENT = (logging.NullHandler, LastResort)

_last_resort = LastResort(logging.WARNING)
_last_resort.setFormatter(logging.Formatter(FORMAT))
