"""The route that Prometheus reads. It is open as the health routes are: it has numbers, and no data of a person."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from api.dependencies import ServicesInUse

METRICS_PATH = "/metrics"
"""The path that Prometheus asks for by default."""

router = APIRouter()


@router.get(METRICS_PATH, include_in_schema=False)
async def metrics(services: ServicesInUse) -> Response:
    """The numbers of this process."""
    return Response(services.metrics.text(), media_type=CONTENT_TYPE_PLAIN_0_0_4)
