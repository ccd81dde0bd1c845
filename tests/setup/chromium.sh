#!/usr/bin/env bash
# Sees to it that the tests of location's pages find a browser: Chromium from Debian's packages, and what drives it from npm
# (tests/browser).
#   chromium.sh           installs what is missing, where it may
#   chromium.sh --report  says loudly, at the end of a run, that tests were skipped
# With REQUIRE_BROWSER=1 it is an error that something is missing; with SKIP_BROWSER=1 nothing is installed or tested.
set -euo pipefail
# shellcheck source=tests/setup/debian.sh
. "$(dirname "$0")/debian.sh"
cd "$(dirname "$0")/../browser"

skipped=.skipped

if [ "${1:-}" = --report ]; then
    [ ! -f "$skipped" ] || sed 's/^/*** NOT TESTED: /' "$skipped" >&2
    exit 0
fi

leave_out() {
    local what="the pages of location in a browser: $1"
    rm -f node_modules/.installed
    if [ "${REQUIRE_BROWSER:-}" = 1 ]; then
        echo "$what (REQUIRE_BROWSER=1)" >&2
        exit 1
    fi
    echo "$what" > "$skipped"
    echo "*** left out: $what" >&2
    exit 0
}

# Chrome of another packager does as well; a snap cannot read our files.
browser() {
    local name
    for name in "${CHROMIUM:-chromium}" chromium google-chrome chromium-browser; do
        if command -v "$name" && "$name" --version > /dev/null 2>&1; then return 0; fi
    done
    return 1
}

install_browser() { install_packages Chromium chromium fonts-dejavu-core; }

rm -f "$skipped"
[ "${SKIP_BROWSER:-}" != 1 ] || leave_out "SKIP_BROWSER=1"
if ! command -v node > /dev/null || ! command -v npm > /dev/null; then
    leave_out "there is no Node.js (20 or newer, with npm)"
fi
major=$(node -p 'process.versions.node.split(".")[0]')
[ "$major" -ge 20 ] || leave_out "Node.js is $(node --version), 20 or newer is needed"
found=$(browser) || { install_browser && found=$(browser); } ||
    leave_out "there is no Chromium (Debian: apt-get install chromium)"

wanted="$(cat package.json package-lock.json | sha256sum | cut -d' ' -f1) $(node --version)"
if [ ! -f node_modules/.installed ] || [ "$(head -n 1 node_modules/.installed)" != "$wanted" ]; then
    echo "installing what drives the browser (tests/browser)" >&2
    npm ci --ignore-scripts --no-progress --loglevel=error ||
        leave_out "npm could not install what drives it (its messages are further above)"
fi
# The tests read the second line: which browser it is.
printf '%s\n%s\n' "$wanted" "$found" > node_modules/.installed
