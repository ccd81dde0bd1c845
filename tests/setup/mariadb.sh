#!/usr/bin/env bash
# Sees to it that the tests find the programs of a MariaDB server; the tests themselves start one (testkit::mariadb).
#   mariadb.sh           installs Debian's package where they are missing, and it may
#   mariadb.sh --report  says loudly that tests were skipped, where they are missing
# With REQUIRE_MARIADB=1 it is an error that they are missing; with SKIP_MARIADB_INSTALL=1 nothing is installed.
set -euo pipefail
# shellcheck source=tests/setup/debian.sh
. "$(dirname "$0")/debian.sh"

present() {
    local program
    for program in mariadbd mariadb-install-db mariadb; do
        PATH=$PATH:/usr/sbin command -v "$program" > /dev/null || return 1
    done
}

# The tests need its programs; the package's own server is theirs to use, who want it.
install_package() {
    [ "${SKIP_MARIADB_INSTALL:-0}" = 0 ] || return 1
    install_packages MariaDB mariadb-server
}

missing() { missing_server MariaDB mariadb-server REQUIRE_MARIADB; }

if present; then exit 0; fi
if [ "${1:-}" = --report ]; then
    missing
elif ! install_package || ! present; then
    missing
fi
