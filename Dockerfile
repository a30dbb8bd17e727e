# The image of the action, and of the command: test-repair with what its local sandbox needs (git, Python, uv).
# Old and new builders build it, also without a network to an image hub: so no `# syntax=`, no --mount, --chmod, --link, and
# no heredocs.
#
# What pins what:
# - the bases: by tag here; .github/workflows/release.yml gives their digests (RUST_IMAGE, DEBIAN_IMAGE, DAGGER_IMAGE,
#   DOCKER_IMAGE);
# - Debian's packages: by APT_SNAPSHOT (a moment of snapshot.debian.org, as 20261128T000000Z), which a release gives too.
#   Empty, as for `uses: …@main`, takes the mirror's newest: Debian keeps no old version there, so `package=version` would
#   fail on the day of the next security update;
# - crates: by Cargo.lock and --locked; uv: by version and hash in docker/uv.txt.
ARG RUST_IMAGE=rust:1-slim-bookworm
ARG DEBIAN_IMAGE=debian:bookworm-slim
# Of the engine only the CLI is taken, and of Docker only the client: by it the CLI reaches an engine.
ARG DAGGER_IMAGE=registry.dagger.io/engine:v0.21.11
ARG DOCKER_IMAGE=docker:28-cli

FROM ${RUST_IMAGE} AS build
WORKDIR /build
# The dependencies alone first, with stand-ins for the sources: they are built again when the lock file changes, not before.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src benches && printf '//! Nothing yet.\n' > src/lib.rs && printf '//! Nothing yet.\nfn main() {}\n' > src/main.rs \
    && cp src/main.rs benches/detect.rs && cp src/main.rs benches/judge.rs \
    && cargo build --release --locked --bin test-repair
# What the sources include, and they.
COPY .github/example .github/example
COPY data data
COPY docker docker
COPY prompts prompts
COPY src src
# The stand-ins may be newer than the sources: what came of them goes.
RUN touch src/main.rs src/lib.rs && cargo build --release --locked --bin test-repair \
    && cargo tree --locked --edges normal --prefix none --format '{p} {l}' > tree.txt \
    && sed -i 's/ (\*)$//' tree.txt && sort -u tree.txt > crates.txt

FROM ${DEBIAN_IMAGE} AS system
ARG APT_SNAPSHOT=
# python3-venv has pip in it, for environments; the system itself needs none. Nothing here may raise its rights: no setuid.
RUN if [ -n "$APT_SNAPSHOT" ]; then \
        rm -f /etc/apt/sources.list /etc/apt/sources.list.d/* \
        && signed='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg check-valid-until=no]' \
        && snapshot=http://snapshot.debian.org/archive \
        && printf 'deb %s %s %s main\n' \
            "$signed" "$snapshot/debian/$APT_SNAPSHOT" bookworm \
            "$signed" "$snapshot/debian/$APT_SNAPSHOT" bookworm-updates \
            "$signed" "$snapshot/debian-security/$APT_SNAPSHOT" bookworm-security > /etc/apt/sources.list; \
    fi \
    && apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get upgrade -y --no-install-recommends \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates git python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log \
        /var/log/alternatives.log \
    && find / -xdev -perm /6000 -type f -exec chmod a-s {} + \
    && mkdir -p /usr/share/sbom /opt/uv/python \
    && dpkg-query -W -f '${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\n' \
        > /usr/share/sbom/debian.tsv

FROM ${DAGGER_IMAGE} AS dagger

FROM ${DOCKER_IMAGE} AS docker

FROM system AS uv
COPY docker/uv.txt /
RUN python3 -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes -r /uv.txt \
    && cp /venv/lib/python3*/site-packages/uv-*.dist-info/sboms/uv.cyclonedx.json /uv.cdx.json

FROM system
COPY --from=uv /venv/bin/uv /usr/local/bin/uv
COPY --from=uv /uv.cdx.json /usr/share/sbom/uv.cdx.json
# The sandbox gives every run a user of its own, who must be able to read the Pythons that uv installs: not in a home. And
# uv does what the image says, not what a repository's uv.toml says (the directory that it is started in is foreign).
ENV UV_PYTHON_INSTALL_DIR=/opt/uv/python \
    UV_NO_CONFIG=1
COPY --from=dagger /usr/local/bin/dagger /usr/local/bin/dagger
COPY --from=docker /usr/local/bin/docker /usr/local/bin/docker
RUN { dagger version; docker --version; } > /usr/share/sbom/tools.txt
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/test-repair/
COPY --from=build /build/crates.txt /usr/share/sbom/crates.txt
COPY --from=build /build/target/release/test-repair /usr/local/bin/test-repair
COPY entrypoint.sh /entrypoint.sh
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="test-repair" \
      org.opencontainers.image.description="Repairs failing CI of Python projects, and proves the repair" \
      org.opencontainers.image.source="https://github.com/org/test-repair" \
      org.opencontainers.image.documentation="https://github.com/org/test-repair#readme" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# No USER and no WORKDIR: the runner sets the directory, its files belong to users that this image doesn't know, and only
# root can give a run a user of its own.
ENTRYPOINT ["/entrypoint.sh"]
