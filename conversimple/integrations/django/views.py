"""How the agents of this web worker are, over HTTP."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from .configuration import SETTING
from .web import prepared

NONE_HERE = (
    "no agents run in the web workers: they are not to, see START_IN_WEB_WORKERS in "
    f"{SETTING}, or the log tells why"
)


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 if the process that answers runs the agents or stands by, else 503.

    404 says that the web workers run none at all. Anybody may read it: there are no
    secrets in it, and no conversation's id.
    """
    embedding = prepared()
    if embedding is None:
        return JsonResponse({"error": NONE_HERE}, status=404)
    report = embedding.report()
    return JsonResponse(report, status=200 if report["ready"] else 503)
