#!/usr/bin/env bash
# Builds the images, with the engine that is there. `make images` runs it; all of it is set by variables:
#   ENGINE      podman, docker (with buildx) or buildah; the first of these that is found, when unset
#   REGISTRY    what stands before the names, as in REGISTRY/model-catalog-bridge/normalizer; nothing when unset
#   TAG         the version in Cargo.toml when unset
#   VERSION     what the images' labels call the version; TAG when unset
#   PLATFORMS   linux/amd64,linux/arm64 for example; that of this machine when unset
#   SERVICES    which images; all when unset
#   RUST_IMAGE  in place of the image that the Dockerfiles name, from a mirror for example
#   PUSH=1      push them as well, to REGISTRY
#   DRY_RUN=1   print the commands instead
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
tag=${TAG:-$version}
services=${SERVICES:-normalizer storage-rest location model-catalog-bridge model-registry storage-initializer}
platforms=${PLATFORMS:-}

# Without a registry engines take a public one, where the first part of these names may be anybody's.
if [ "${PUSH:-0}" = 1 ] && [ -z "${REGISTRY:-}" ]; then
    echo "PUSH=1 needs REGISTRY: where to push to, as in REGISTRY=registry.example.com/platform" >&2
    exit 1
fi

find_engine() {
    local engine
    for engine in podman docker buildah; do
        if command -v "$engine" > /dev/null; then
            echo "$engine"
            return
        fi
    done
    echo "images are built with podman, docker or buildah: install one of them, or name it with ENGINE=" >&2
    return 1
}

run() {
    if [ "${DRY_RUN:-0}" = 1 ]; then
        printf '%q ' "$@"
        printf '\n'
    else
        "$@"
    fi
}

# Which commit it is, and when that was made: the same commit gives the same labels.
revision=$(git rev-parse HEAD 2> /dev/null || echo unknown)
if [ -n "$(git status --porcelain --untracked-files=no 2> /dev/null)" ]; then revision+=-modified; fi
created=$(TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2> /dev/null || date -u +%Y-%m-%dT%H:%M:%SZ)

arguments_for() { # service
    arguments=(--file "Dockerfiles/$1.Dockerfile" --build-arg "VERSION=${VERSION:-$tag}" --build-arg "REVISION=$revision"
        --build-arg "CREATED=$created")
    if [ -n "${SOURCE:-}" ]; then arguments+=(--build-arg "SOURCE=$SOURCE"); fi
    if [ -n "${RUST_IMAGE:-}" ]; then arguments+=(--build-arg "RUST_IMAGE=$RUST_IMAGE"); fi
}

# Docker sends several platforms to a registry, or keeps them where it has containerd's store.
build_with_docker() { # image
    if [ -n "$platforms" ]; then arguments+=(--platform "$platforms"); fi
    if [ "${PUSH:-0}" = 1 ]; then arguments+=(--push); else arguments+=(--load); fi
    run docker buildx build "${arguments[@]}" --tag "$1" .
}

# The others make a list of several platforms, one after the other because the cache mounts are locked, and push in a step of
# its own. Debian's (1.28) do not know what they build on, and take layers of another platform, or with other labels, for the
# same: so no layers are kept, and only the cache mounts save time.
build_with_podman_or_buildah() { # engine image
    local engine=$1 image=$2 architecture platform
    case "$(uname -m)" in
        aarch64 | arm64) architecture=arm64 ;;
        *) architecture=amd64 ;;
    esac
    arguments+=(--layers=false --build-arg "BUILDPLATFORM=linux/$architecture" --build-arg "BUILDARCH=$architecture")
    if [ -z "$platforms" ]; then
        run "$engine" build "${arguments[@]}" --tag "$image" .
        if [ "${PUSH:-0}" = 1 ]; then run "$engine" push "$image"; fi
        return
    fi
    run "$engine" manifest rm "$image" 2> /dev/null || true
    for platform in ${platforms//,/ }; do
        run "$engine" build "${arguments[@]}" --platform "$platform" --manifest "$image" .
    done
    if [ "${PUSH:-0}" = 1 ]; then run "$engine" manifest push --all "$image" "docker://$image"; fi
}

engine=${ENGINE:-$(find_engine)}
for service in $services; do
    image=${REGISTRY:+${REGISTRY%/}/}model-catalog-bridge/$service:$tag
    arguments_for "$service"
    case "$engine" in
        docker) build_with_docker "$image" ;;
        podman | buildah) build_with_podman_or_buildah "$engine" "$image" ;;
        *) echo "ENGINE is podman, docker or buildah, not $engine" >&2; exit 1 ;;
    esac
done
