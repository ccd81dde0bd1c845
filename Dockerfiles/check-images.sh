#!/usr/bin/env bash
# Builds all images for both platforms with a real engine, buildah, and looks at what is in them. A stand-in for the Rust image,
# in which cargo only writes the name of the platform into files, makes that a matter of a minute: what is compiled is
# what `make image-build-check` looks at. Needs root; on Debian it installs buildah and busybox. `make image-content-check` runs it.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
for tool in buildah busybox python3; do command -v "$tool" > /dev/null || missing+=("$tool"); done
if [ ${#missing[@]} -gt 0 ]; then
    echo "installing buildah, crun and busybox-static" >&2
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends buildah crun busybox-static; } > /dev/null
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{storage,run,tmp}
# A storage of its own: nothing is left behind, and nobody else's images are seen.
printf '[storage]\ndriver = "vfs"\ngraphroot = "%s"\nrunroot = "%s"\n' "$work/storage" "$work/run" > "$work/storage.conf"
export CONTAINERS_STORAGE_CONF=$work/storage.conf TMPDIR=$work/tmp BUILDAH_ISOLATION=chroot

make_stand_in() {
    local tools=$work/stand-in/bin tool
    mkdir -p "$tools" "$work"/stand-in/{etc/ssl/certs,tmp,usr/local/cargo}
    cp "$(command -v busybox)" "$tools/busybox"
    for tool in sh mkdir chmod cp echo rm; do ln -s busybox "$tools/$tool"; done
    echo "authorities" > "$work/stand-in/etc/ssl/certs/ca-certificates.crt"
    cat > "$tools/cargo" << 'EOF'
#!/bin/sh
while [ $# -gt 0 ]; do
    if [ "$1" = --target ]; then target=$2; fi
    shift
done
mkdir -p "target/$target/release"
for binary in normalizer storage-rest location model-catalog-bridge model-registry storage-initializer; do
    echo "$binary for $target" > "target/$target/release/$binary"
    chmod 755 "target/$target/release/$binary"
done
EOF
    # install -D -t DIRECTORY FILE
    printf '#!/bin/sh\nmkdir -p "$3" && cp "$4" "$3"/\n' > "$tools/install"
    printf '#!/bin/sh\n' | tee "$tools/apt-get" > "$tools/rustup"
    chmod 755 "$tools"/{cargo,install,apt-get,rustup}
    printf 'FROM scratch\nCOPY stand-in/ /\nENV PATH=/bin\n' > "$work/Dockerfile"
    buildah build --quiet --file "$work/Dockerfile" --tag localhost/stand-in "$work" > /dev/null
}

# Everything in an image: type, mode, owner and name of each file, and of directories that hold nothing.
listed() {
    (cd "$1" && find . -mindepth 1 \( -not -type d -o -empty \) -printf '%P\n') | sort |
        while read -r name; do stat -c "%F %a %u:%g /$name" "$1/$name"; done
}

expect() { # what, expected, found
    diff -u --label "expected" --label "found" <(printf '%s\n' "$2") <(printf '%s\n' "$3") >&2 ||
        { echo "$1 is not as it should be" >&2; exit 1; }
}

check_image() { # service architecture target
    local service=$1 architecture=$2 target=$3 container root
    container=$(buildah from --pull-never --arch "$architecture" "localhost/model-catalog-bridge/$service:check")
    root=$(buildah mount "$container")
    expect "what $service holds ($architecture)" "$(printf '%s\n' \
        'directory 770 65532:0 /data' \
        'regular file 644 0:0 /etc/group' \
        'regular file 644 0:0 /etc/nsswitch.conf' \
        'regular file 644 0:0 /etc/passwd' \
        'regular file 644 0:0 /etc/ssl/certs/ca-certificates.crt' \
        'regular file 644 0:0 /licenses/LICENSE' \
        'directory 1777 0:0 /tmp' \
        "regular file 755 0:0 /usr/local/bin/$service")" "$(listed "$root")"
    expect "the binary of $service" "$service for $target" "$(cat "$root/usr/local/bin/$service")"
    expect "the configuration of $service" "$architecture 65532:65532 /usr/local/bin/$service /data no check check $service" "$(
        buildah inspect "$container" | python3 -c '
import json, sys
image = json.load(sys.stdin)["OCIv1"]
config = image["config"]
labels = {name.rsplit(".", 1)[-1]: value for name, value in config["Labels"].items()}
assert all(labels[name] for name in ("created", "description", "licenses", "revision", "vendor")), labels
print(image["architecture"], config["User"], *config["Entrypoint"], config["WorkingDir"], config.get("Healthcheck", "no check"),
      labels["version"], labels["title"])'
    )"
    buildah umount "$container" > /dev/null
    buildah rm "$container" > /dev/null
}

make_stand_in
ENGINE=buildah TAG=check PLATFORMS=linux/amd64,linux/arm64 RUST_IMAGE=localhost/stand-in Dockerfiles/images.sh > "$work/log" 2>&1 ||
    { tail -n 30 "$work/log" >&2; exit 1; }
for service in normalizer storage-rest location model-catalog-bridge model-registry storage-initializer; do
    check_image "$service" amd64 x86_64-unknown-linux-gnu
    check_image "$service" arm64 aarch64-unknown-linux-gnu
    echo "$service: as it should be, for amd64 and arm64"
done
