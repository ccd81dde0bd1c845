#!/usr/bin/env bash
# Starts the binaries as the images would: with DIRECTORY for a root that they may not write to, but for /data, as user 65532,
# with the sample registry to read; waits until location serves its models, and prints how much memory each service has.
# Needs root. `make image-build-check` runs it at its end.
#   MEMORY_AIM   of each service, in KiB (15360); more is a failure
set -euo pipefail
root=$1
aim=${MEMORY_AIM:-15360}
work=$(mktemp -d)
declare -A started=()

stop() {
    local name
    for name in "${!started[@]}"; do kill "${started[$name]}" 2> /dev/null || true; done
    wait
    rm -rf "$work"
}
trap stop EXIT

# What an engine puts into every container.
cp /etc/hosts /etc/resolv.conf "$root/etc/"
cp -a /dev/null /dev/random /dev/urandom "$root/dev/"

start() { # name, then settings as NAME=VALUE, then the command
    local name=$1
    shift
    env -i PATH="$PATH" "$@" > "$work/$name.log" 2>&1 &
    started[$name]=$!
}

in_root=(chroot --userspec=65532:65532 "$root")

all_run() {
    local name
    for name in "${!started[@]}"; do kill -0 "${started[$name]}" 2> /dev/null || return 1; done
}

wait_until() { # what, then a command
    local what=$1
    shift
    for _ in $(seq 300); do
        if "$@" > /dev/null 2>&1; then return; fi
        all_run || break
        sleep 0.2
    done
    echo "not so after a minute, or what should see to it has ended: $what" >&2
    tail -n 20 "$work"/*.log >&2
    exit 1
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
ask() { curl --silent --show-error --fail --noproxy '*' "$@"; }
lists_models() { ask "http://$location/list" | grep -q catalog-info.yaml; }

storage=127.0.0.1:$(free_port)
location=127.0.0.1:$(free_port)
admin=127.0.0.1:$(free_port)

start registry "${in_root[@]}" /usr/local/bin/model-catalog-bridge demo --port 0
wait_until "the demo tells the sample registry's address" grep -q '^sample registry' "$work/registry.log"
registry=$(awk '/^sample registry/ { print $3 }' "$work/registry.log")

start storage-rest STORAGE_LISTEN_ADDRESS="$storage" STORAGE_TYPE=Sqlite SQLITE_PATH=/data/entries.sqlite \
    LOCATION_URL="http://$location" "${in_root[@]}" /usr/local/bin/storage-rest
start location LOCATION_LISTEN_ADDRESS="$location" STORAGE_URL="http://$storage" "${in_root[@]}" /usr/local/bin/location
start normalizer NORMALIZER_ADMIN_ADDRESS="$admin" MR_URL="$registry" NO_CLUSTER=true STORAGE_URL="http://$storage" \
    "${in_root[@]}" /usr/local/bin/normalizer

wait_until "storage-rest is ready" ask "http://$storage/readyz"
wait_until "normalizer is ready" ask "http://$admin/readyz"
wait_until "location serves the sample registry's models" lists_models

status=0
echo "resident memory with the sample registry's models"
for name in normalizer storage-rest location; do
    resident=$(awk '/^VmRSS:/ { print $2 }' "/proc/${started[$name]}/status")
    note=
    if [ "$resident" -gt "$aim" ]; then
        note="   more than $aim KiB"
        status=1
    fi
    own=$(awk '/^RssAnon:/ { print $2 }' "/proc/${started[$name]}/status")
    awk -v name="$name" -v resident="$resident" -v own="$own" -v note="$note" 'BEGIN {
        printf "  %-14s %5.1f MiB, of which %4.1f MiB are not parts of the binary%s\n", name, resident / 1024, own / 1024, note
    }'
done
exit "$status"
