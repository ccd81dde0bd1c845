#!/usr/bin/env bash
# Sees to it that the tests find the programs of a PostgreSQL server; the tests themselves start one (testkit::postgres).
#   postgresql.sh           installs Debian's package where they are missing, and it may
#   postgresql.sh --report  says loudly that tests were skipped, where they are missing
# With REQUIRE_POSTGRES=1 it is an error that they are missing; with SKIP_POSTGRES_INSTALL=1 nothing is installed.
set -euo pipefail
# shellcheck source=tests/setup/debian.sh
. "$(dirname "$0")/debian.sh"

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
    [ "${SKIP_POSTGRES_INSTALL:-0}" = 0 ] && [ "$(id -u)" = 0 ] || return 1
    # The tests need its programs, not a server that runs.
    local no_cluster=/etc/postgresql-common/createcluster.d/bridge-tests.conf status=0
    mkdir -p "$(dirname "$no_cluster")"
    echo 'create_main_cluster = false' > "$no_cluster"
    install_packages PostgreSQL postgresql || status=$?
    rm -f "$no_cluster"
    return "$status"
}

missing() { missing_server PostgreSQL postgresql REQUIRE_POSTGRES; }

if present; then exit 0; fi
if [ "${1:-}" = --report ]; then
    missing
elif ! install_package || ! present; then
    missing
fi
