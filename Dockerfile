# Three images from one file: producer, consumer and worker; beat runs from the worker's image.
# Plain syntax only (no mounts, no here-documents), so that the classic builder of docker-compose 1.29 builds it too.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS python
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python3 -m venv /opt/ferry
WORKDIR /src

# Ferry itself as a wheel, built by the locked hatchling of dev.txt; should hatchling need more than these, pip says so.
FROM python AS project
COPY requirements/dev.txt ./
RUN awk '/^[a-z]/ {chosen = /^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/} chosen' dev.txt > build.txt \
    && python3 -m venv /opt/build && /opt/build/bin/pip install --require-hashes -r build.txt
COPY pyproject.toml README.md LICENSE logging_config.json ./
COPY shared ./shared
COPY producer ./producer
COPY consumer ./consumer
COPY worker ./worker
COPY console ./console
RUN /opt/build/bin/pip wheel --no-index --no-build-isolation --no-deps --wheel-dir /wheels .

# Dependencies come before the project, so that a change of the code does not install them again.
FROM python AS producer-environment
COPY requirements/producer.txt ./
RUN /opt/ferry/bin/pip install --require-hashes -r producer.txt
COPY --from=project /wheels /wheels
RUN /opt/ferry/bin/pip install --no-index --no-deps /wheels/*.whl

FROM python AS consumer-environment
COPY requirements/consumer.txt ./
RUN /opt/ferry/bin/pip install --require-hashes -r consumer.txt
COPY --from=project /wheels /wheels
RUN /opt/ferry/bin/pip install --no-index --no-deps /wheels/*.whl

FROM python AS worker-environment
COPY requirements/worker.txt ./
RUN /opt/ferry/bin/pip install --require-hashes -r worker.txt
COPY --from=project /wheels /wheels
RUN /opt/ferry/bin/pip install --no-index --no-deps /wheels/*.whl

FROM ${PYTHON_IMAGE} AS runtime
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin ferry
# /app is where an image of your own puts its routes and tasks.
ENV PATH=/opt/ferry/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
USER 10001

FROM runtime AS producer
COPY --from=producer-environment /opt/ferry /opt/ferry
ENTRYPOINT ["ferry-producer"]
CMD ["--forever", "--interval", "1"]

FROM runtime AS consumer
COPY --from=consumer-environment /opt/ferry /opt/ferry
ENTRYPOINT ["ferry-consumer"]
CMD ["run"]

FROM runtime AS worker
COPY --from=worker-environment /opt/ferry /opt/ferry
ENTRYPOINT ["celery", "-A", "ferry_worker"]
CMD ["worker"]
