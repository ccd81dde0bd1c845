# shellcheck shell=bash
# Sourced by the scripts that install what tests need from Debian's packages.

# Whether the packages could be installed; what they are for is said before.
install_packages() { # what they are for, then the packages
    [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null || return 1
    echo "installing $1 for the tests" >&2
    shift
    export DEBIAN_FRONTEND=noninteractive
    local patient='-o DPkg::Lock::Timeout=120 -o Acquire::http::Timeout=30'
    # shellcheck disable=SC2086 # several words on purpose
    apt-get $patient update -qq > /dev/null &&
        apt-get $patient install -y -qq --no-install-recommends "$@" > /dev/null
}

# Says loudly that tests are skipped, and fails if that is an error.
missing_server() { # its name, its package, the variable that insists on it
    printf '\n%s\n*** %s\n*** %s\n%s\n\n' \
        "**********************************************************************" \
        "SKIPPED: the tests with $1, as it is not installed." \
        "Install a $1 server (Debian: apt-get install $2)." \
        "**********************************************************************" >&2
    [ "${!3:-0}" = 0 ] || { echo "$3 is set: that is an error" >&2; exit 1; }
}
