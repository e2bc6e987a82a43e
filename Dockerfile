# Two images: docker build --target chat-service .    docker build --target agent-memory-service .
# Each holds one service, the packages that it runs on, and nothing that builds or tests.
ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim-bookworm AS packages
# Packages go into an environment without pip. Wheels only: there is no compiler here, and none is needed.
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ONLY_BINARY=:all: PIP_REQUIRE_HASHES=1 PIP_ROOT_USER_ACTION=ignore
RUN ["python", "-m", "venv", "--without-pip", "/opt/venv"]

FROM packages AS chat-service-packages
COPY requirements-chat-service.txt /tmp/requirements.txt
RUN ["pip", "--python", "/opt/venv/bin/python", "install", "--requirement", "/tmp/requirements.txt"]

FROM packages AS agent-memory-service-packages
COPY requirements-agent-memory-service.txt /tmp/requirements.txt
RUN ["pip", "--python", "/opt/venv/bin/python", "install", "--requirement", "/tmp/requirements.txt"]

FROM python:${PYTHON_VERSION}-slim-bookworm AS runtime
# The root may be read-only: Python writes no bytecode, and the services write no files.
# Logs are not buffered, so that the last lines of a process that is killed are not lost.
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# A number, not a name: Kubernetes checks runAsNonRoot without reading /etc/passwd.
USER 10001:10001

FROM runtime AS agent-memory-service
COPY --from=agent-memory-service-packages /opt/venv /opt/venv
COPY agent_memory_service /srv/agent_memory_service
WORKDIR /srv/agent_memory_service
EXPOSE 8001
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client as h, sys; c = h.HTTPConnection('127.0.0.1', 8001, timeout=2); c.request('GET', '/health/live'); sys.exit(c.getresponse().status != 200)"]
CMD ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8001", "--timeout-keep-alive", "120", "--no-access-log", \
    "--http", "bounded_http:BoundedHttp"]

FROM runtime AS chat-service
COPY --from=chat-service-packages /opt/venv /opt/venv
COPY chat_service /srv/chat_service
WORKDIR /srv/chat_service
EXPOSE 8010
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client as h, sys; c = h.HTTPConnection('127.0.0.1', 8010, timeout=2); c.request('GET', '/health/live'); sys.exit(c.getresponse().status != 200)"]
CMD ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8010", "--timeout-keep-alive", "120", "--no-access-log", \
    "--http", "bounded_http:BoundedHttp", "--limit-concurrency", "600", "--timeout-graceful-shutdown", "15"]
