#!/usr/bin/env bash
# Installs the linters of what is not Rust (requirements.txt) from PyPI, below target/tools, and prints where their programs
# are. Does nothing when they are there already; prints nothing, and says so loudly, where they can't be had.
#   REQUIRE_LINTERS=1   to go without is an error
#   SKIP_LINTERS=1      install nothing
set -euo pipefail
cd "$(dirname "$0")/../.."
environment=target/tools/linters

leave_out() {
    printf '*** NOT LINTED: Dockerfiles, workflows, scripts: %s\n' "$1" >&2
    [ "${REQUIRE_LINTERS:-0}" = 0 ] || { echo "REQUIRE_LINTERS is set: that is an error" >&2; exit 1; }
    exit 0
}

[ "${SKIP_LINTERS:-0}" = 0 ] || leave_out "SKIP_LINTERS=1"
command -v python3 > /dev/null && python3 -c 'import venv, ensurepip' 2> /dev/null ||
    leave_out "there is no Python 3 with venv and pip"

# A stamp says for what the installation was made.
wanted="$(sha256sum < tests/lint/requirements.txt | cut -d' ' -f1) $(python3 --version)"
if [ "$(cat "$environment/.installed" 2> /dev/null)" != "$wanted" ]; then
    echo "installing linters below target/tools" >&2
    python3 -m venv --clear "$environment" >&2 &&
        "$environment/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: -r tests/lint/requirements.txt >&2 ||
        leave_out "pip could not install them (its messages are further above)"
    printf '%s' "$wanted" > "$environment/.installed"
fi
echo "$PWD/$environment/bin"
