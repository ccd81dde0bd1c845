#!/usr/bin/env bash
# Prints how large the stripped binaries are, and the images where an engine is there and has them; fails when a binary is
# larger than it should be.
#   sizes.sh [DIRECTORY]   where the binaries are: by default those of `make image-build-check`, else of `make build`
#   SIZE_AIM               in bytes (15,000,000)
set -euo pipefail
cd "$(dirname "$0")/.."
aim=${SIZE_AIM:-15000000}
status=0

directory=${1:-}
for candidate in target/image-build-check/root/usr/local/bin target/release; do
    if [ -z "$directory" ] && [ -x "$candidate/normalizer" ]; then directory=$candidate; fi
done
[ -n "$directory" ] || { echo "there are no release binaries: run make build first" >&2; exit 1; }

echo "binaries in $directory"
for binary in normalizer storage-rest location model-catalog-bridge model-registry storage-initializer; do
    bytes=$(stat -c %s "$directory/$binary")
    note=
    if [ "$bytes" -gt "$aim" ]; then
        note="   more than $aim bytes"
        status=1
    fi
    printf '  %-22s %6s MB%s\n' "$binary" "$(awk "BEGIN { printf \"%.1f\", $bytes / 1e6 }")" "$note"
done

for engine in ${ENGINE:-podman docker buildah}; do
    command -v "$engine" > /dev/null || continue
    listed=$("$engine" images --format '{{.Repository}}:{{.Tag}}  {{.Size}}' 2> /dev/null ||
        "$engine" images --format '{{.Name}}:{{.Tag}}  {{.Size}}' 2> /dev/null) || continue
    listed=$(grep model-catalog-bridge/ <<< "$listed" || true)
    if [ -n "$listed" ]; then printf 'images of %s\n%s\n' "$engine" "$(sed 's/^/  /' <<< "$listed")"; fi
done
exit "$status"
