#!/usr/bin/env bash
# Sees to it that the tests find the programs of a PostgreSQL server; the tests themselves start one (testkit::postgres).
#   postgresql.sh           installs Debian's package where they are missing, and it may
#   postgresql.sh --report  says loudly that tests were skipped, where they are missing
# With REQUIRE_POSTGRES=1 it is an error that they are missing; with SKIP_POSTGRES_INSTALL=1 nothing is installed.
set -euo pipefail

present() {
    local directory
    for directory in ${PATH//:/ } /usr/lib/postgresql/*/bin "$(pg_config --bindir 2>/dev/null || true)"; do
        # A link that stands alone does not lead to the others.
        directory=$(dirname "$(readlink -f "$directory/initdb" 2>/dev/null)" 2>/dev/null) || continue
        if [ -x "$directory/initdb" ] && [ -x "$directory/postgres" ] && [ -x "$directory/psql" ]; then
            return 0
        fi
    done
    return 1
}

install_package() {
    [ "${SKIP_POSTGRES_INSTALL:-0}" = 0 ] || return 1
    [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null || return 1
    echo "installing PostgreSQL for the tests" >&2
    export DEBIAN_FRONTEND=noninteractive
    # The tests need its programs, not a server that runs.
    local no_cluster=/etc/postgresql-common/createcluster.d/bridge-tests.conf
    mkdir -p "$(dirname "$no_cluster")"
    echo 'create_main_cluster = false' > "$no_cluster"
    local status=0
    local patient='-o DPkg::Lock::Timeout=120 -o Acquire::http::Timeout=30'
    # shellcheck disable=SC2086 # several words on purpose
    { apt-get $patient update -qq && apt-get $patient install -y -qq --no-install-recommends postgresql; } > /dev/null || status=$?
    rm -f "$no_cluster"
    return "$status"
}

missing() {
    printf '\n%s\n*** %s\n*** %s\n%s\n\n' \
        "**********************************************************************" \
        "SKIPPED: the tests with PostgreSQL, as it is not installed." \
        "Install a PostgreSQL server (Debian: apt-get install postgresql)." \
        "**********************************************************************" >&2
    [ "${REQUIRE_POSTGRES:-0}" = 0 ] || { echo "REQUIRE_POSTGRES is set: that is an error" >&2; exit 1; }
}

if present; then exit 0; fi
if [ "${1:-}" = --report ]; then
    missing
elif ! install_package || ! present; then
    missing
fi
