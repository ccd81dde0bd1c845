#!/usr/bin/env bash
# Checks the demo registry from the cluster to the reader, changes nothing, and says what to do about each thing that is not
# as it should be. The exit code is 1 when anything is wrong.
#
#   validate.sh [ACCOUNT...]
#
# An ACCOUNT, NAMESPACE:NAME, is one that should be able to read the registry: the bridge's unless others are given. KUBECTL is
# the client (kubectl, or else oc), CURL what asks the route.
set -euo pipefail

readonly namespace=rhoai-model-registries registry=demo-registry
kubectl=${KUBECTL:-$(command -v kubectl || command -v oc || true)}
[ -n "$kubectl" ] || { echo "there is neither kubectl nor oc; install one, or name it in KUBECTL" >&2; exit 1; }
if [ $# -eq 0 ]; then set -- model-catalog-bridge:model-catalog-normalizer; fi

wrong=0
ok() { echo "ok      $1"; }
bad() {
    wrong=$((wrong + 1))
    echo "WRONG   $1"
    shift
    printf '        -> %s\n' "$@"
}
# A field of an object, by jsonpath; empty where there is no such object or field.
field() { "$kubectl" get "$1" "$2" --namespace $namespace --output "jsonpath=$3" 2> /dev/null || true; }
condition() { field "$1" "$2" "{.status.conditions[?(@.type==\"$3\")].$4}"; }

# --- The cluster ---

if ! "$kubectl" get namespaces --output name > /dev/null 2>&1; then
    bad "the cluster cannot be reached" "check 'kubectl config current-context', and log in as a cluster administrator"
    exit 1
fi
ok "the cluster can be reached"
if [ -z "$(field customresourcedefinition modelregistries.modelregistry.opendatahub.io '{.metadata.name}')" ]; then
    bad "there is no ModelRegistry in this cluster" \
        "install OpenShift AI or Open Data Hub, and set the component modelregistry of its DataScienceCluster to Managed"
    exit 1
fi
ok "the operator's ModelRegistry is installed"
if [ -z "$(field namespace $namespace '{.metadata.name}')" ]; then
    bad "there is no namespace $namespace" "run deploy.sh"
    exit 1
fi
ok "the namespace $namespace is there"

# --- The database ---

if [ -n "$(field secret $registry-db '{.data.database-password}')" ]; then
    ok "the database has a password"
else
    bad "the Secret $registry-db has no database-password" \
        "run deploy.sh, or make the Secret with database-name, database-user and database-password (secret/database.env)"
fi
case $(field persistentvolumeclaim $registry-db '{.status.phase}') in
    Bound) ok "the database has a volume" ;;
    "") bad "there is no PersistentVolumeClaim $registry-db" "run deploy.sh" ;;
    *) bad "the database's volume is not bound" \
        "kubectl describe persistentvolumeclaim $registry-db --namespace $namespace" \
        "without a default StorageClass, set spec.storageClassName in databases/*/database.yaml" ;;
esac
if [ "$(condition deployment $registry-db Available status)" = True ]; then
    ok "the database is up"
else
    bad "the database is not up: $(condition deployment $registry-db Available message)" \
        "kubectl logs deployment/$registry-db --namespace $namespace" \
        "a password that was changed later is not that of the files: put the old one back, or remove the volume with its data"
fi

# --- The registry ---

if [ "$(condition modelregistry $registry Available status)" = True ]; then
    ok "the registry is up"
else
    bad "the registry is not up: $(condition modelregistry $registry Available message)" \
        "kubectl describe modelregistry $registry --namespace $namespace" \
        "kubectl logs deployment/$registry --namespace $namespace (it waits for the database)"
fi
if [ "$(field service $registry '{.metadata.labels.component}')" = model-registry ]; then
    ok "its Service can be discovered by the bridge"
else
    bad "the Service $registry with the label component=model-registry is missing" \
        "the operator makes it: kubectl logs --namespace redhat-ods-applications deployment/model-registry-operator-controller-manager"
fi

# --- The demo model ---

if [ "$(condition job $registry-seed Complete status)" = True ]; then
    ok "the demo model is registered"
elif [ "$(condition job $registry-seed Failed status)" = True ]; then
    bad "the seed job has failed" "kubectl logs job/$registry-seed --namespace $namespace, then run deploy.sh again"
else
    bad "the seed job has not come to its end" "kubectl logs job/$registry-seed --namespace $namespace says what it waits for"
fi

# --- The way in ---

route=$("$kubectl" get routes --namespace $namespace --selector "app=$registry" \
    --output 'jsonpath={.items[*].status.ingress[0].host}' 2> /dev/null || true)
route=${route%% *}
if [ -z "$route" ]; then
    bad "the registry has no Route that a router has admitted" \
        "spec.kubeRBACProxy.serviceRoute of the ModelRegistry must be enabled (OpenShift only); in the cluster it is not needed"
else
    ok "its Route is $route"
    # Without a token the proxy must say no: 401 or 403. Anything else means that it is not the proxy that answers.
    status=$("${CURL:-curl}" --silent --insecure --max-time 10 --output /dev/null --write-out '%{http_code}' \
        "https://$route/api/model_registry/v1alpha3/registered_models?pageSize=1" || true)
    case $status in
        401 | 403) ok "nobody gets in without a token" ;;
        000 | "") bad "the Route does not answer" "can this machine resolve and reach $route? is the registry's pod ready?" ;;
        200) bad "everybody gets in" "spec.kubeRBACProxy is missing in the ModelRegistry: run deploy.sh" ;;
        *) bad "the Route answers $status" "kubectl get pods --namespace $namespace --selector app=$registry" ;;
    esac
fi

# --- Who may read ---

may() {
    "$kubectl" create --raw /apis/authorization.k8s.io/v1/subjectaccessreviews --filename - 2> /dev/null << JSON |
{"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {"user": "$1", "groups": ["$2"],
 "resourceAttributes": {"verb": "get", "resource": "services", "namespace": "$namespace", "name": "$registry"}}}
JSON
        grep --quiet '"allowed": *true'
}
if may someone model-registry-users; then
    ok "the group model-registry-users may read it"
else
    bad "the group model-registry-users may not read it" "kubectl describe rolebinding demo-registry-users --namespace $namespace"
fi
if may someone system:authenticated; then
    bad "everybody who is logged in may read it" "look for a RoleBinding of system:authenticated in $namespace"
else
    ok "others may not"
fi
for account in "$@"; do
    if may "system:serviceaccount:$account" system:serviceaccounts; then
        ok "the account $account may read it"
    else
        bad "the account $account may not read it: the bridge will be answered 403" \
            "kubectl apply --kustomize deploy/standalone/overlays/openshift (or your sidecar) gives it that right;" \
            "if it is called otherwise, name it: validate.sh NAMESPACE:NAME"
    fi
done

if [ $wrong -gt 0 ]; then
    echo "$wrong wrong"
    exit 1
fi
echo "all is well"
