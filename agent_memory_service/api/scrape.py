"""The route that Prometheus reads. It needs no token, as the health routes: it has numbers, and no data of a person."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from api.dependencies import MemoryDep

METRICS_PATH = "/metrics"
"""The path that Prometheus asks for by default."""

router = APIRouter()


@router.get(METRICS_PATH, include_in_schema=False)
async def metrics(memory: MemoryDep) -> Response:
    """Return the numbers of this process."""
    return Response(memory.metrics.text(), media_type=CONTENT_TYPE_PLAIN_0_0_4)
