#!/usr/bin/env bash
# Checks the alert rules with promtool, and what fires when. promtool comes with Debian's package `prometheus`; where it is
# missing the package is fetched and unpacked below target/, so that nothing is installed and no server started. Where that
# can't be done it says so and leaves it at that.
#
#   REQUIRE_PROMTOOL=1   to leave it out is an error
#   SKIP_PROMTOOL=1      leave it out
set -euo pipefail
cd "$(dirname "$0")/../.."

unpacked=$PWD/target/tools/prometheus

leave_out() {
    printf '\n*** NOT CHECKED: the alert rules in deploy/monitoring: %s\n\n' "$1" >&2
    [ "${REQUIRE_PROMTOOL:-0}" = 0 ] || { echo "REQUIRE_PROMTOOL is set: that is an error" >&2; exit 1; }
    exit 0
}

run_promtool() {
    if command -v promtool > /dev/null; then promtool "$@"; else "$unpacked/usr/bin/promtool" "$@"; fi
}

fetch() {
    echo "fetching promtool for the checks (Debian's package prometheus, below target/tools)" >&2
    local download
    download=$(mktemp -d)
    # apt drops its rights where it can, and then must be let in.
    chmod 755 "$download"
    (cd "$download" && { apt-get download prometheus || { apt-get update -qq && apt-get download prometheus; }; }) \
        > /dev/null 2>&1 || { rm -rf "$download"; return 1; }
    mkdir -p "$unpacked"
    dpkg-deb --extract "$download"/prometheus_*.deb "$unpacked"
    rm -rf "$download"
}

[ "${SKIP_PROMTOOL:-0}" = 0 ] || leave_out "SKIP_PROMTOOL is set"
if ! command -v promtool > /dev/null && [ ! -x "$unpacked/usr/bin/promtool" ]; then
    command -v apt-get > /dev/null && command -v dpkg-deb > /dev/null || leave_out "there is no promtool, and no apt-get to fetch it"
    fetch || leave_out "Debian's package prometheus can't be fetched"
fi
run_promtool check rules deploy/monitoring/rules.yaml > /dev/null
run_promtool test rules deploy/monitoring/rules_test.yaml
