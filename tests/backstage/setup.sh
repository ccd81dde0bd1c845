#!/usr/bin/env bash
# Installs the Backstage that tests run against: from the npm registry, and mkdocs for its TechDocs from PyPI. Does nothing
# when all is there already. Where Node or Python is missing, or something can't be had or built, it says so and leaves it at
# that: the tests are skipped then.
#
#   REQUIRE_BACKSTAGE=1   to leave anything out is an error
#   SKIP_BACKSTAGE=1      install nothing
#   setup.sh --report     say again, at the end of a run, what was left out
set -euo pipefail
cd "$(dirname "$0")"

skipped=.skipped
require=${REQUIRE_BACKSTAGE:-}

if [ "${1:-}" = --report ]; then
    [ ! -f "$skipped" ] || sed 's/^/*** NOT TESTED: /' "$skipped" >&2
    exit 0
fi

leave_out() {
    if [ "$require" = 1 ]; then
        echo "$1 (REQUIRE_BACKSTAGE=1)" >&2
        exit 1
    fi
    echo "$1" >> "$skipped"
    echo "*** left out: $1" >&2
}

# A stamp says for what an installation was made.
is_current() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

install_node() {
    local major
    if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
        leave_out "the bridge against a real Backstage: there is no Node.js (20 or newer, with npm)"
        return
    fi
    major=$(node -p 'process.versions.node.split(".")[0]')
    if [ "$major" -lt 20 ]; then
        leave_out "the bridge against a real Backstage: Node.js is $(node --version), 20 or newer is needed"
        return
    fi
    local wanted
    wanted="$(cat package.json package-lock.json | sha256sum | cut -d' ' -f1) $(node --version)"
    if is_current node_modules/.installed "$wanted"; then return; fi
    echo "installing Backstage for the tests (tests/backstage); this takes a minute or two" >&2
    # Only the database driver is compiled: nothing else that packages want to run at installation is needed. Headers that
    # came with this Node need not be fetched.
    local prefix
    prefix=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")
    if [ -d "$prefix/include/node" ]; then
        export npm_config_nodedir="$prefix" npm_config_build_from_source=true
    fi
    if ! npm ci --ignore-scripts --no-progress --loglevel=error || ! npm rebuild --loglevel=error better-sqlite3 ||
        ! node -e 'new (require("better-sqlite3"))(":memory:").close()'; then
        rm -f node_modules/.installed
        leave_out "the bridge against a real Backstage: npm could not install it (its messages are further above)"
        return
    fi
    printf '%s' "$wanted" > node_modules/.installed
}

install_mkdocs() {
    if ! command -v python3 >/dev/null || ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
        leave_out "TechDocs of model cards: there is no Python 3 with venv and pip"
        return
    fi
    local wanted
    wanted="$(sha256sum < requirements.txt | cut -d' ' -f1) $(python3 --version)"
    if is_current .venv/.installed "$wanted"; then return; fi
    echo "installing mkdocs for the tests (tests/backstage)" >&2
    if ! python3 -m venv --clear .venv || ! .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt; then
        rm -f .venv/.installed
        leave_out "TechDocs of model cards: pip could not install mkdocs (its messages are further above)"
        return
    fi
    printf '%s' "$wanted" > .venv/.installed
}

rm -f "$skipped"
if [ "${SKIP_BACKSTAGE:-}" = 1 ]; then
    leave_out "the bridge against a real Backstage: SKIP_BACKSTAGE=1"
    exit 0
fi
install_node
if [ -f node_modules/.installed ]; then install_mkdocs; fi
