#!/usr/bin/env bash
# Installs the server of MLflow's model registry from PyPI, once, below target/: `make bench` measures it beside ours. Does
# nothing when it is there already. Where Python is missing, or something can't be had, it says so and leaves it at that.
#
#   REQUIRE_MLFLOW=1     to leave it out is an error
#   SKIP_MLFLOW=1        leave it out
#   setup.sh --report    say again, at the end of a run, what was left out
set -euo pipefail
cd "$(dirname "$0")/../.."

tools=$PWD/target/tools/mlflow
skipped=$tools.skipped
requirements=$PWD/tests/mlflow/requirements.txt

if [ "${1:-}" = --report ]; then
    [ ! -f "$skipped" ] || sed 's/^/*** NOT MEASURED: /' "$skipped" >&2
    exit 0
fi

# What was installed for an earlier run is not measured either.
leave_out() {
    local what="MLflow's model registry: $1"
    printf '\n*** NOT MEASURED: %s\n\n' "$what" >&2
    [ "${REQUIRE_MLFLOW:-0}" = 0 ] || { echo "REQUIRE_MLFLOW is set: that is an error" >&2; exit 1; }
    mkdir -p "${skipped%/*}"
    echo "$what" > "$skipped"
    exit 0
}

pip() { "$tools/environment/bin/pip" --quiet --disable-pip-version-check "$@"; }

# A stamp says for what it was made.
install() {
    local wanted
    wanted="$(sha256sum < "$requirements" | cut -d' ' -f1) $(python3 --version)"
    [ "$(cat "$tools/.installed" 2> /dev/null)" != "$wanted" ] || return 0
    echo "installing MLflow for the benchmark (below target/tools, some 350 MB)" >&2
    rm -rf "$tools"
    python3 -m venv "$tools/environment" && pip install --no-compile --no-deps -r "$requirements" && pip check || return 1
    printf '%s' "$wanted" > "$tools/.installed"
}

rm -f "$skipped"
[ "${SKIP_MLFLOW:-0}" = 0 ] || leave_out "SKIP_MLFLOW is set"
command -v python3 > /dev/null && python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
    2> /dev/null || leave_out "there is no Python from 3.11 on with venv and pip"
install || leave_out "pip could not install it (its messages are further above)"
