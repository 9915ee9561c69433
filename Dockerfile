FROM node:22-bookworm-slim AS viewer
WORKDIR /build/clients
COPY clients .
RUN npm ci --no-audit --no-fund && npm run build --workspace viewer

FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY . .
COPY --from=viewer /build/clients/viewer/dist clients/viewer/dist
RUN cargo build --release --locked --bin plue-sync

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --home-dir /var/lib/plue-sync --create-home plue-sync
COPY --from=build /build/target/release/plue-sync /usr/local/bin/plue-sync
USER plue-sync
WORKDIR /var/lib/plue-sync
EXPOSE 4000 3000
ENTRYPOINT ["plue-sync"]
CMD ["serve", "--listen", "0.0.0.0:4000"]
