#!/usr/bin/env bash
# `make lint-deploy`: every kustomization renders, what it renders fits its schema, and what runs our own registry, there and in
# deploy/compose, fits its program.
set -euo pipefail
cd "$(dirname "$0")/../.."

tools=tests/deploy/.venv/bin
tests/deploy/setup.sh
if [ ! -x "$tools/kubectl" ]; then exit 0; fi

rendered=$(mktemp -d)
trap 'rm -rf "$rendered"' EXIT

# Components are rendered by those that use them.
of_kind() { grep --files-with-matches --recursive --include=kustomization.yaml "^kind: $1" deploy tests/deploy/everything | sort; }
mapfile -t kustomizations < <(of_kind Kustomization)
mapfile -t components < <(of_kind Component)
for kustomization in "${kustomizations[@]}"; do
    directory=$(dirname "$kustomization")
    "$tools/kubectl" kustomize "$directory" > "$rendered/${directory//\//_}.yaml" || {
        echo "$directory does not render" >&2
        exit 1
    }
done
for component in "${components[@]}"; do
    name=$(basename "$(dirname "$component")")
    grep --quiet --recursive --include=kustomization.yaml --extended-regexp "^[^#]*/$name\\]?\$" deploy tests/deploy/everything || {
        echo "nothing renders the component $component" >&2
        exit 1
    }
done
"$tools/python" tests/deploy/check.py tests/deploy/schemas "$rendered"/*.yaml
"$tools/python" tests/deploy/registry.py "$rendered"/*.yaml
compose=deploy/compose/docker-compose.yaml
"$tools/python" tests/deploy/compose.py "$compose"
"$tools/python" tests/deploy/compose.py "$compose" deploy/compose/mariadb.yaml
