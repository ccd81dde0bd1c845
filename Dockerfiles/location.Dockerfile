# location: serves the catalog to Backstage.
#
# The Dockerfiles here differ only in what follows the line «This image», which `make lint` checks: the stage that builds is
# one for all six images, so an engine builds it once. Build from the root of the repository: `make images`.

# Any image of Rust on Debian will do, from a mirror of yours for example.
ARG RUST_IMAGE=rust:1.95-slim-bookworm

# It runs on the machine that builds, and compiles for the one that is asked for: nothing is emulated.
FROM --platform=$BUILDPLATFORM ${RUST_IMAGE} AS build
ARG BUILDARCH
ARG TARGETARCH
WORKDIR /src
# The C compiler is for ring, SQLite and zstd.
RUN if [ "$TARGETARCH" != "$BUILDARCH" ]; then \
        apt-get update && \
        apt-get install --yes --no-install-recommends "crossbuild-essential-$TARGETARCH" && \
        rm -rf /var/lib/apt/lists/* && \
        rustup target add x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu; \
    fi
# Linked statically the binaries need nothing beside them. The C library keeps what looks names up in itself, as long as
# nsswitch.conf asks for no more than files and DNS.
ENV CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc \
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static" \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static"
RUN mkdir -p image/root/etc/ssl/certs image/volumes/data && \
    mkdir -m 1777 image/root/tmp && \
    chmod 0770 image/volumes/data && \
    cp -L /etc/ssl/certs/ca-certificates.crt image/root/etc/ssl/certs/ && \
    echo 'hosts: files dns' > image/root/etc/nsswitch.conf && \
    echo 'bridge:x:65532:65532:bridge:/data:/sbin/nologin' > image/root/etc/passwd && \
    echo 'bridge:x:65532:' > image/root/etc/group
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    case "$TARGETARCH" in \
        amd64) target=x86_64-unknown-linux-gnu ;; \
        arm64) target=aarch64-unknown-linux-gnu ;; \
        *) echo "built for amd64 and arm64, not for $TARGETARCH" >&2; exit 1 ;; \
    esac && \
    cargo build --locked --release --target "$target" --bins \
        --package normalizer --package storage-rest --package location --package bridge --package model-registry \
        --package storage-initializer && \
    for binary in normalizer storage-rest location model-catalog-bridge model-registry storage-initializer; do \
        install -D -t image/bin "target/$target/release/$binary" || exit 1; \
    done

# The binaries alone, for a release: `--target binaries --output DIRECTORY`.
FROM scratch AS binaries
COPY --from=build /src/image/bin /

FROM scratch AS base
COPY --from=build /src/image/root/ /
# A volume belongs on /data where the root is read-only and entries are kept in SQLite, and one on /tmp for what
# `model-catalog-bridge` keeps while it works. Group 0 may write, as OpenShift likes it.
COPY --from=build --chown=65532:0 /src/image/volumes/ /
COPY LICENSE /licenses/LICENSE
WORKDIR /data
USER 65532:65532
ARG VERSION=dev
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=
LABEL org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED" \
      org.opencontainers.image.source="$SOURCE" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="the authors of Model Catalog Bridge"

# This image
FROM base
LABEL org.opencontainers.image.title="location" \
      org.opencontainers.image.description="Serves the model catalog to Backstage: one document an entry."
COPY --from=build /src/image/bin/location /usr/local/bin/location
EXPOSE 9090
ENTRYPOINT ["/usr/local/bin/location"]
