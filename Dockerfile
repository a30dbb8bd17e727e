# The image of the action: test-repair, and what its local sandbox needs (git, Python, uv). Built by old and new builders,
# so without --mount, --chmod and heredocs. Releases are built by .github/workflows/release.yml, which pins both bases by
# digest; here they are pinned by tag, so that the file also builds where images are made by hand.
ARG RUST_IMAGE=rust:1-slim-bookworm
ARG DEBIAN_IMAGE=debian:bookworm-slim

FROM ${RUST_IMAGE} AS build
WORKDIR /build
# First the dependencies alone: they are built again only when the lock file changes.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches && echo 'fn main() {}' > src/main.rs && touch src/lib.rs && echo 'fn main() {}' > benches/detect.rs \
    && cargo build --release --locked --bin test-repair && rm -rf src benches
COPY benches benches
COPY data data
COPY prompts prompts
COPY src src
# The stand-ins above are newer than the sources: their results go.
RUN touch src/main.rs src/lib.rs && cargo build --release --locked --bin test-repair \
    && cargo tree --locked --edges normal --prefix none --format '{p} {l}' > /build/rust-packages.txt

FROM ${DEBIAN_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="test-repair" \
      org.opencontainers.image.description="Repairs failing CI of Python projects, and proves the repair" \
      org.opencontainers.image.source="https://github.com/org/test-repair" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A Python and uv for the local sandbox; uv brings the Pythons that CI ran. Debian's packages are pinned by the base image's
# release: bookworm only changes by security updates, which an image should have.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates git python3 python3-pip python3-venv \
    && printf 'uv==0.13.9\n' > /tmp/uv.txt \
    && python3 -m pip install --no-cache-dir --break-system-packages --no-compile --only-binary :all: -r /tmp/uv.txt \
    && rm -rf /tmp/uv.txt /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log /root/.cache \
    && find / -xdev -perm /6000 -type f -exec chmod a-s {} + \
    && mkdir -p /usr/share/sbom /opt/uv/python \
    && dpkg-query -W -f '${Package} ${Version}\n' > /usr/share/sbom/debian-packages.txt \
    && python3 -m pip list --format freeze > /usr/share/sbom/python-packages.txt
# Later: the Dagger CLI and a Docker client, for the second sandbox.
COPY --from=build /build/target/release/test-repair /usr/local/bin/test-repair
COPY --from=build /build/rust-packages.txt /usr/share/sbom/rust-packages.txt
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/test-repair/
COPY entrypoint.sh /entrypoint.sh
# The sandbox's own user must be able to read the Pythons that uv installs: not in root's home.
ENV UV_PYTHON_INSTALL_DIR=/opt/uv/python
# No USER and no WORKDIR: the runner sets the directory, and its files belong to others than this image knows.
ENTRYPOINT ["/entrypoint.sh"]
