#!/usr/bin/env bash
# Asks storage-rest, location and the Model Registry whatever their OpenAPI documents allow, and much that they do not, with
# Schemathesis: no answer may be one that the document does not have, nothing that is wrong may be taken, nothing that is right
# refused. What is set aside stands in the files beside this one, with its reason.
# Installs Schemathesis from PyPI, once, below target/. Where Python is missing it says so and leaves it at that.
#
#   REQUIRE_SCHEMATHESIS=1   to leave it out is an error
#   SKIP_SCHEMATHESIS=1      leave it out
#   API_EXAMPLES, API_SEED   how much is asked of each route (20; of the registry 5), and how to ask the same again
set -euo pipefail
cd "$(dirname "$0")/../.."

tools=$PWD/target/tools/schemathesis
binaries=${BINARIES:-target/debug}
here=$PWD/tests/openapi
export BRIDGE_TOKEN=api-check

leave_out() {
    printf '\n*** NOT TESTED: the services against their OpenAPI documents: %s\n\n' "$1" >&2
    [ "${REQUIRE_SCHEMATHESIS:-0}" = 0 ] || { echo "REQUIRE_SCHEMATHESIS is set: that is an error" >&2; exit 1; }
    exit 0
}

install() {
    [ "${SKIP_SCHEMATHESIS:-0}" = 0 ] || leave_out "SKIP_SCHEMATHESIS is set"
    command -v python3 > /dev/null && python3 -c 'import venv, ensurepip' 2> /dev/null ||
        leave_out "there is no Python 3 with venv and pip"
    local wanted
    wanted="$(sha256sum < $here/requirements.txt | cut -d' ' -f1) $(python3 --version)"
    [ "$(cat $tools/.installed 2> /dev/null)" != "$wanted" ] || return 0
    echo "installing Schemathesis for the tests (below target/tools)" >&2
    if ! python3 -m venv --clear $tools ||
        ! $tools/bin/pip install --quiet --disable-pip-version-check -r $here/requirements.txt; then
        leave_out "pip could not install Schemathesis (its messages are further above)"
    fi
    printf '%s' "$wanted" > $tools/.installed
}

# Waits until a service says in its log where it listens.
address_of() {
    local found
    for _ in $(seq 200); do
        found=$(sed -n 's/.* listens address=\([0-9.:]*\).*/\1/p' "$1")
        [ -z "$found" ] || { echo "$found"; return; }
        sleep 0.1
    done
    cat "$1" >&2
    return 1
}

until_ready() {
    for _ in $(seq 200); do
        ! curl --silent --fail --output /dev/null "http://$1/readyz" || return 0
        sleep 0.1
    done
    curl --silent "http://$1/readyz" >&2
    return 1
}

install
work=$(mktemp -d)
running=()
stop() {
    [ ${#running[@]} = 0 ] || kill "${running[@]}" 2> /dev/null || true
    rm -rf "$work"
}
trap stop EXIT

# Starts a service by the name of its binary, with arguments, and waits until it is ready; where it listens is in $address.
start() {
    "$binaries/$1" "${@:2}" 2> "$work/$1.log" &
    running+=($!)
    address=$(address_of "$work/$1.log")
    until_ready "$address"
}

# Asks a service, of that name and address, with the settings and as much as is said.
status=0
ask() {
    # It keeps notes in the directory that it runs in.
    (cd "$work" && $tools/bin/schemathesis --config-file "$here/$3" run "http://$2/openapi.json" \
        --header "Authorization: Bearer $BRIDGE_TOKEN" --phases examples,coverage,fuzzing --no-color \
        --generation-database none --warnings off --max-examples "$4" --seed "${API_SEED:-1}" \
        > "$work/$1.txt" 2>&1) || { status=1; cat "$work/$1.txt"; }
    if grep -n 'panicked' "$work/$1.log"; then status=1; fi
    grep -E '^ *[0-9]+ generated' "$work/$1.txt" | sed "s/^ */$1: /" || true
}

export LOG_FORMAT=text LOG_LEVEL=info NORMALIZER_FORMAT=JsonArrayFormat
# Each is asked alone: what one is sent does not go on to the other.
STORAGE_TYPE=Sqlite SQLITE_PATH=$work/storage.sqlite LOCATION_URL=http://127.0.0.1:9 \
    start storage-rest --listen-address 127.0.0.1:0
storage=$address
document=$(printf '{"models":[]}' | base64)
curl --silent --fail --output /dev/null -H "Authorization: Bearer $BRIDGE_TOKEN" -H 'Content-Type: application/json' \
    -d "{\"body\": \"$document\", \"modelCardKey\": \"granite-8b\", \"modelCard\": \"# Granite\"}" \
    "http://$storage/upsert?key=granite-8b_v1&type=kubeflow"
STORAGE_URL=http://$storage start location --listen-address 127.0.0.1:0
ask location "$address" schemathesis.toml "${API_EXAMPLES:-20}"
ask storage-rest "$storage" schemathesis.toml "${API_EXAMPLES:-20}"
# It has many more routes.
start model-registry proxy --hostname 127.0.0.1 --port 0 --embedmd-database-type sqlite --data-dir "$work"
ask model-registry "$address" registry.toml "${API_EXAMPLES:-5}"
exit $status
