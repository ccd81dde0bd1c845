#!/usr/bin/env bash
# Installs KServe's own storage initializer from PyPI below target/, for `make bench`, and prints which Python has it. Where
# Python is missing it says so, and `make bench` measures ours alone.
#
#   REQUIRE_KSERVE_STORAGE=1   to leave it out is an error
#   SKIP_KSERVE_STORAGE=1      leave it out
set -euo pipefail
cd "$(dirname "$0")/../../.."

tools=$PWD/target/tools/kserve-storage
requirements=$PWD/tests/benches/kserve/requirements.txt

leave_out() {
    printf '*** NOT MEASURED: the storage initializer of KServe: %s\n' "$1" >&2
    [ "${REQUIRE_KSERVE_STORAGE:-0}" = 0 ] || exit 1
    exit 0
}

install() {
    local wanted
    wanted="$(sha256sum < "$requirements") $(python3 --version)"
    [ "$(cat "$tools/.installed" 2> /dev/null)" != "$wanted" ] || return 0
    echo "installing KServe's storage initializer for the comparison (below target/tools, some 140 MB)" >&2
    rm -rf "$tools"
    python3 -m venv "$tools" &&
        "$tools/bin/pip" --quiet --disable-pip-version-check install --no-compile -r "$requirements" >&2 || return 1
    printf '%s' "$wanted" > "$tools/.installed"
}

[ "${SKIP_KSERVE_STORAGE:-0}" = 0 ] || leave_out "SKIP_KSERVE_STORAGE is set"
command -v python3 > /dev/null && python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2> /dev/null ||
    leave_out "there is no Python from 3.10 on with venv and pip"
install || leave_out "pip could not install it (its messages are further above)"
echo "$tools/bin/python"
