# One image for every role: `mingizuk api`, `mingizuk gateway`, `mingizuk migrate`.
FROM rust:1-bookworm AS build
WORKDIR /build
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    cargo build --profile dist --locked --bin mingizuk && cp target/dist/mingizuk /mingizuk

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/mingizuk --create-home mingizuk
COPY --from=build /mingizuk /usr/local/bin/mingizuk
USER mingizuk
WORKDIR /var/lib/mingizuk
ENV MINGIZUK_ENV=production \
    MINGIZUK_API_ADDR=0.0.0.0:8080 \
    MINGIZUK_GATEWAY_ADDR=0.0.0.0:8081 \
    MINGIZUK_API_OPS_ADDR=0.0.0.0:9080 \
    MINGIZUK_GATEWAY_OPS_ADDR=0.0.0.0:9081
EXPOSE 8080 8081 9080 9081
# It handles SIGTERM as process 1 by itself: sessions are told to reconnect, what is under way finishes.
STOPSIGNAL SIGTERM
# Whichever service the container runs answers on its own operations port.
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 \
    CMD curl -fsS http://127.0.0.1:9080/healthz || curl -fsS http://127.0.0.1:9081/healthz || exit 1
ENTRYPOINT ["mingizuk"]
