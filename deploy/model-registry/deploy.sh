#!/usr/bin/env bash
# Installs the demo registry: namespace, database, ModelRegistry, access, and a demo model. It may be run again: what is there
# already is brought in step, and the database keeps its password.
#
#   deploy.sh [--database mariadb|postgresql] [--timeout DURATION] [--only-secret] [--no-validate] [--dry-run]
#
#   --database      which database is behind the registry (mariadb)
#   --timeout       how long each part may take to be ready (5m)
#   --only-secret   make the namespace and the database's password, and leave the rest to Argo CD
#   --no-validate   do not run validate.sh at the end
#   --dry-run       say what would be done, and ask no cluster
#
# DATABASE_PASSWORD is the password of a new database; one is made where it is not set. KUBECTL is the client (kubectl, or
# else oc).
set -euo pipefail
cd "$(dirname "$0")"

readonly namespace=rhoai-model-registries registry=demo-registry secret=demo-registry-db
database=mariadb
timeout=5m
only_secret=false
validate=true
dry_run=false

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
        --database) database=${2:?--database takes mariadb or postgresql}; shift ;;
        --timeout) timeout=${2:?--timeout takes a duration such as 5m}; shift ;;
        --only-secret) only_secret=true ;;
        --no-validate) validate=false ;;
        --dry-run) dry_run=true ;;
        -h | --help) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' deploy.sh; exit 0 ;;
        *) fail "$1 is not understood; see deploy.sh --help" ;;
    esac
    shift
done
case $database in
    mariadb | postgresql) ;;
    *) fail "--database $database: it is mariadb or postgresql" ;;
esac

kubectl=${KUBECTL:-$(command -v kubectl || command -v oc || true)}
[ -n "$kubectl" ] || fail "there is neither kubectl nor oc; install one, or name it in KUBECTL"

manifests=$(mktemp)
trap 'rm -f "$manifests"' EXIT
"$kubectl" kustomize "$database" > "$manifests"

if $dry_run; then
    echo "Would make Secret/$secret in the namespace $namespace, unless it is there, with a new password"
    if $only_secret; then exit 0; fi
    echo "Would apply in the namespace $namespace, with $database:"
    awk '
        /^---/ { kind = "" }
        /^kind:/ { kind = $2 }
        /^metadata:/ { meta = 1; next }
        /^[^ ]/ { meta = 0 }
        meta && /^  name:/ { print "  " kind "/" $2 }' "$manifests"
    echo "Would wait up to $timeout each for the database, the registry and the seed job"
    if $validate; then echo "Would run validate.sh"; fi
    exit 0
fi

# --- Before anything is changed ---

"$kubectl" get namespaces --output name > /dev/null || fail \
    "the cluster cannot be reached, or you may not list namespaces: check 'kubectl config current-context' and log in as a" \
    "cluster administrator"
$only_secret || "$kubectl" get customresourcedefinitions modelregistries.modelregistry.opendatahub.io --output name > /dev/null || fail \
    "the cluster has no ModelRegistry: install OpenShift AI (or Open Data Hub) and set the component modelregistry of its" \
    "DataScienceCluster to Managed"

# --- The database's password, once ---

apply() { "$kubectl" apply --server-side --force-conflicts --field-manager=demo-registry --filename "$1"; }
"$kubectl" get namespace $namespace --output name > /dev/null 2>&1 ||
    "$kubectl" create namespace $namespace --dry-run=client --output yaml | apply -
if "$kubectl" get secret $secret --namespace $namespace --output name > /dev/null 2>&1; then
    echo "secret/$secret is there: the database keeps its password"
else
    password=${DATABASE_PASSWORD:-$(head -c 24 /dev/urandom | base64 | tr -d '+/=\n')}
    # Through a pipe: arguments of commands can be seen by others.
    { grep -v '^database-password=' secret/database.env; echo "database-password=$password"; } |
        "$kubectl" create secret generic $secret --namespace $namespace --from-env-file=/dev/stdin \
            --dry-run=client --output yaml | apply -
fi
if $only_secret; then exit 0; fi

# --- Everything else ---

# A Job cannot be changed. The new one finds what the last one registered.
"$kubectl" delete job $registry-seed --namespace $namespace --ignore-not-found
apply "$manifests"

wait_for() {
    echo "waiting for $1"
    "$kubectl" wait "$2" --namespace $namespace --for="$3" --timeout="$timeout" || fail \
        "$1 is not ready after $timeout; what is wrong:" "$(./validate.sh 2>&1 || true)"
}
wait_for "the database" deployment/$registry-db condition=Available
wait_for "the registry" modelregistry/$registry condition=Available
wait_for "the demo model" job/$registry-seed condition=Complete

if $validate; then ./validate.sh; fi
