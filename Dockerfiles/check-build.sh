#!/usr/bin/env bash
# Proves without an engine that the images build and run: takes the commands of the stage that builds from a Dockerfile, runs
# them on what `git archive` and .dockerignore leave of the last commit, puts together what the images hold, and starts every
# binary in there, as the user of the images and with nothing else to see. Needs root for that, and a Debian like that of
# RUST_IMAGE; takes ten minutes or more the first time. `make image-build-check` runs it.
#   BUILD_CHECK_DIRECTORY   where (target/image-build-check); what cargo compiled there is kept, as the cache mounts keep it
set -euo pipefail
cd "$(dirname "$0")/.."
repository=$PWD
dockerfile=$repository/Dockerfiles/model-catalog-bridge.Dockerfile
directory=$(realpath -m "${BUILD_CHECK_DIRECTORY:-target/image-build-check}")
context=$directory/src
root=$directory/root

# Of the patterns that there may be, .dockerignore uses two: everything, and what is let in all the same.
let_in() {
    local line
    while read -r line; do
        case "$line" in
            '' | '#'* | '*') ;;
            '!'*) printf '%s\n' "${line#!}" ;;
            *) echo ".dockerignore: this check does not understand «$line»" >&2; return 1 ;;
        esac
    done < .dockerignore
}

lay_context() {
    local paths
    mapfile -t paths < <(let_in)
    rm -rf "$context"
    mkdir -p "$context" "$directory/target"
    git archive HEAD -- "${paths[@]}" | tar -x -C "$context"
    # In the place of the cache mount.
    ln -s "$directory/target" "$context/target"
}

# The instructions of one stage, one a line.
stage() { # name
    awk -v name="$1" '
        /^[[:space:]]*#/ { next }
        { line = line $0 }
        /\\$/ { sub(/\\$/, " ", line); next }
        { if (line ~ /^FROM /) inside = (line ~ " AS " name "$"); else if (inside && line != "") print line; line = "" }
    ' "$dockerfile"
}

run_build_stage() {
    local instruction command
    cd "$context"
    while read -r instruction; do
        case "$instruction" in
            'ENV '*) eval "export ${instruction#ENV }" ;;
            'RUN '*)
                command=$(sed -E 's/^RUN +//; s/--mount=[^ ]+ +//g' <<< "$instruction")
                echo "RUN $command" | tr -s ' ' >&2
                sh -ec "$command" < /dev/null
                ;;
            'ARG '* | 'WORKDIR /src' | 'COPY . .') ;;
            *) echo "this check does not know how to do «$instruction»" >&2; return 1 ;;
        esac
    done < <(stage build)
    cd "$repository"
}

# What COPY takes from the stage that builds: the order and the owners are those of the Dockerfile.
assemble_root() {
    rm -rf "$root"
    mkdir -p "$root/usr/local/bin" "$root/dev" "$root/proc"
    cp -a "$context/image/root/." "$context/image/volumes/." "$root/"
    chown 65532:0 "$root/data"
    cp "$context"/image/bin/* "$root/usr/local/bin/"
}

inside() { chroot --userspec=65532:65532 "$root" "$@"; }

for tool in git tar awk chroot cargo; do
    command -v "$tool" > /dev/null || { echo "$tool is needed" >&2; exit 1; }
done
[ "$(id -u)" = 0 ] || { echo "root is needed, to enter the image's root directory" >&2; exit 1; }
TARGETARCH=$(dpkg --print-architecture)
BUILDARCH=$TARGETARCH
export TARGETARCH BUILDARCH

lay_context
time run_build_stage
assemble_root
for binary in normalizer storage-rest location model-catalog-bridge model-registry storage-initializer; do
    inside "/usr/local/bin/$binary" --version
done
Dockerfiles/sizes.sh "$root/usr/local/bin"
Dockerfiles/footprint.sh "$root"
