# The service in one image: a folder of photos in, its API out. See docs/serving.md.
#
#   docker build -t hgan .
#   docker run -p 127.0.0.1:8000:8000 -v ~/Pictures:/photos:ro -v hgan-index:/var/lib/hgan hgan

FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN python -m venv /opt/hgan \
    && /opt/hgan/bin/pip install --no-cache-dir -c constraints.txt '.[serve,cloud,heif,places,raw,video]'

FROM python:3.11-slim
COPY --from=build /opt/hgan /opt/hgan
ENV PATH=/opt/hgan/bin:$PATH \
    PYTHONUNBUFFERED=1 ORT_DISABLE_TELEMETRY=1 \
    HGAN_INDEX=/var/lib/hgan/index
# The user can write the index only; photos are only read.
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /var/lib/hgan hgan \
    && install --directory --owner=hgan --group=hgan /var/lib/hgan /photos
USER 10001
WORKDIR /var/lib/hgan
VOLUME /var/lib/hgan
EXPOSE 8000
STOPSIGNAL SIGTERM
# /ready answers 200 when the service can search. The first run indexes the photos before that.
HEALTHCHECK --interval=15s --timeout=10s --start-period=10m --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/ready', timeout=8)"]
ENTRYPOINT ["hgan"]
CMD ["serve", "/photos", "--host", "0.0.0.0"]
