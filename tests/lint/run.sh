#!/usr/bin/env bash
# Holds Dockerfiles, workflows, scripts and deploy/compose against their linters and schemas, the Dockerfiles against each
# other, and the documents' links and alerts against what is there.
set -euo pipefail
cd "$(dirname "$0")/../.."
status=0

complain() {
    echo "$1" >&2
    status=1
}

# All but the first line, and what follows «# This image», is one text: one stage that builds for all images.
shared_part() { sed -n '2,/^# This image$/p' "$1"; }

own_part() { sed -n '/^# This image$/,$p' "$1"; }

check_dockerfiles() {
    local first file name
    first=
    for file in Dockerfiles/*.Dockerfile; do
        name=$(basename "$file" .Dockerfile)
        first=${first:-$file}
        diff -u --label "$first" --label "$file" <(shared_part "$first") <(shared_part "$file") >&2 ||
            complain "$file: what it shares with the other Dockerfiles is not the same: see its first lines"
        own_part "$file" | grep -q "image.title=\"$name\"" || complain "$file: its title is not $name"
        own_part "$file" | grep -qxF "ENTRYPOINT [\"/usr/local/bin/$name\"]" || complain "$file: its entry point is not $name"
        ! own_part "$file" | grep -nE '^(USER|HEALTHCHECK|RUN|SHELL|ADD) ' >&2 || complain "$file: see the line above"
    done
}

# What .dockerignore lets in is enough for cargo to load the workspace, and holds what the sources include.
check_build_context() {
    local context paths source included
    context=$(mktemp -d)
    mapfile -t paths < <(sed -n 's/^!//p' .dockerignore)
    git ls-files -z -- "${paths[@]}" | tar --create --null --files-from - | tar --extract --directory "$context"
    (cd "$context" && cargo metadata --no-deps --offline --format-version 1 > /dev/null) ||
        complain ".dockerignore keeps something from the build that cargo needs"
    while IFS=: read -r source included; do
        included=$(dirname "$source")/$(cut -d'"' -f2 <<< "$included")
        [ -e "$context/$included" ] || complain ".dockerignore keeps $included from the build, which $source includes"
    done < <(grep --recursive --only-matching --include='*.rs' -E 'include_(str|bytes)!\("[^"]+"' crates/*/src)
    rm -rf "$context"
}

check_dockerfiles
check_build_context
tools=$(tests/lint/setup.sh)
if [ -n "$tools" ]; then
    # actionlint takes shellcheck for the scripts in workflows.
    PATH=$tools:$PATH
    hadolint Dockerfiles/*.Dockerfile || status=1
    actionlint || status=1
    mapfile -t scripts < <(git ls-files '*.sh' .ci/run)
    shellcheck --severity=warning "${scripts[@]}" || status=1
    tests/lint/docs.py || status=1
    check-jsonschema --builtin-schema vendor.renovate renovate.json || status=1
    check-jsonschema --builtin-schema vendor.compose-spec deploy/compose/*.yaml || status=1
fi
exit "$status"
