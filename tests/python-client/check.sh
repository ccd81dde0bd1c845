#!/usr/bin/env bash
# Uses the Model Registry as people do: through the Python client from PyPI, once a version that calls v1alpha3 and has
# experiments, once the newest, which calls v1. Both run the tests beside this script against one registry on an empty SQLite
# file, one after the other; the second also reads what the first left. Uploads go to an S3 server that the tests bring.
# Installs them, once, below target/. Where Python is missing it says so and leaves it at that.
#
#   REQUIRE_PYTHON_CLIENT=1   to leave it out is an error
#   SKIP_PYTHON_CLIENT=1      leave it out
#   check.sh --install        only install: other tests use the S3 server that comes along (testkit::moto)
#   check.sh --report         say again, at the end of a run, what was left out
#   check.sh ARGUMENTS        for unittest: -v, or -k and a part of the name of a test
set -euo pipefail
cd "$(dirname "$0")/../.."

tools=$PWD/target/tools/python-client
skipped=$tools.skipped
binaries=${BINARIES:-target/debug}
here=$PWD/tests/python-client
clients=("0.3.9 v1alpha3" "newest v1")

if [ "${1:-}" = --report ]; then
    [ ! -f "$skipped" ] || sed 's/^/*** NOT TESTED: /' "$skipped" >&2
    exit 0
fi

leave_out() {
    local what="the Model Registry with its Python clients: $1"
    printf '\n*** NOT TESTED: %s\n\n' "$what" >&2
    [ "${REQUIRE_PYTHON_CLIENT:-0}" = 0 ] || { echo "REQUIRE_PYTHON_CLIENT is set: that is an error" >&2; exit 1; }
    mkdir -p "${skipped%/*}"
    echo "$what" > "$skipped"
    exit 0
}

pip() { "$tools/environment/bin/pip" --quiet --disable-pip-version-check "$@"; }

# One environment has what both clients need, each client has a directory. A stamp says for what they were made.
install() {
    local wanted client
    wanted="$(cat "$here"/requirements*.txt | sha256sum | cut -d' ' -f1) $(python3 --version)"
    [ "$(cat "$tools/.installed" 2> /dev/null)" != "$wanted" ] || return 0
    echo "installing the Python clients for the tests (below target/tools)" >&2
    rm -rf "$tools"
    python3 -m venv "$tools/environment" && pip install --no-compile -r "$here/requirements.txt" || return 1
    for client in "${clients[@]}"; do
        client=${client% *}
        pip install --no-compile --no-deps --target "$tools/$client" -r "$here/requirements-$client.txt" &&
            PYTHONPATH=$tools/$client pip check || return 1
    done
    printf '%s' "$wanted" > "$tools/.installed"
}

install_or_leave_out() {
    [ "${SKIP_PYTHON_CLIENT:-0}" = 0 ] || leave_out "SKIP_PYTHON_CLIENT is set"
    command -v python3 > /dev/null && python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' \
        2> /dev/null || leave_out "there is no Python from 3.10 on with venv and pip"
    install || leave_out "pip could not install the clients (its messages are further above)"
}

# Waits until the registry says in its log where it listens, and then until it is ready.
await_registry() {
    for _ in $(seq 200); do
        port=$(sed -n 's/.* listens address=127\.0\.0\.1:\([0-9]*\).*/\1/p' "$work/registry.log")
        [ -z "$port" ] || ! curl --silent --fail --output /dev/null "http://127.0.0.1:$port/readyz" || return 0
        kill -0 "$registry" 2> /dev/null || break
        sleep 0.1
    done
    echo "the registry does not become ready; its log:" >&2
    cat "$work/registry.log" >&2
    return 1
}

# The client reads all certificates of the machine for each request, which takes most of the time: it is given none. A
# machine's proxy or profile is not for what is here.
run_tests() {
    env -u AWS_PROFILE -u PYTHONDONTWRITEBYTECODE SSL_CERT_FILE=/dev/null SSL_CERT_DIR=/nonexistent \
        NO_PROXY=127.0.0.1 no_proxy=127.0.0.1 REGISTRY_HOST=http://127.0.0.1 REGISTRY_PORT="$port" API="$2" BEFORE="$3" \
        PYTHONPATH="$tools/$1" PYTHONPYCACHEPREFIX="$tools/compiled" \
        "$tools/environment/bin/python" -m unittest discover --start-directory "$here" "${@:4}"
}

rm -f "$skipped"
install_or_leave_out
[ "${1:-}" != --install ] || exit 0
work=$(mktemp -d)
registry=
stop() {
    [ -z "$registry" ] || kill "$registry" 2> /dev/null || true
    wait
    rm -rf "$work"
}
trap stop EXIT

LOG_FORMAT=text LOG_LEVEL=info,service::server::observe=debug "$binaries/model-registry" proxy --hostname 127.0.0.1 --port 0 \
    --embedmd-database-type sqlite --data-dir "$work" 2> "$work/registry.log" &
registry=$!
port=
await_registry

status=0
before=
for client in "${clients[@]}"; do
    name=${client% *}
    api=${client#* }
    version=$(sed -n 's/^model-registry==//p' "$here/requirements-$name.txt")
    if run_tests "$name" "$api" "$before" "$@" > "$work/output" 2>&1; then
        echo "Python client $version ($api): $(sed -n 's/^Ran /ran /p; s/^OK.*/&/p' "$work/output" | paste -sd ' ')"
    else
        status=1
        cat "$work/output" >&2
        echo "*** FAILED: Python client $version ($api). What the registry warned of, and the end of its log:" >&2
        grep -E ' (WARN|ERROR) ' "$work/registry.log" | tail -n 20 >&2 || true
        tail -n 20 "$work/registry.log" >&2
    fi
    before=$api
done
if grep -n panicked "$work/registry.log" >&2; then status=1; fi
exit $status
