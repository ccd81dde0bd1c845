"""Holds the manifests that run our own registry against its program and against each other, as tests/tests/deploy/names.rs does
with the three services.

    registry.py FILE...     what kustomize rendered; files without such a container are passed over
"""

import pathlib
import sys

import yaml

import programs

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAME = "model-registry"
# Where the reconciler serves health and metrics unless it is told otherwise.
ADMIN_PORT = 8080
# What the cluster, or the kit's deploy.sh, puts there.
OF_OTHERS = {"demo-registry-db", "demo-registry-tls"}
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/"


def has(labels, wanted):
    return bool(wanted) and wanted.items() <= labels.items()


def containers(objects):
    """Our containers, with the object and the pod that they are in."""
    for thing in objects:
        if thing["kind"] in ("Deployment", "Job"):
            template = thing["spec"]["template"]
            for container in template["spec"]["containers"]:
                if programs.of_image(container["image"]) == NAME:
                    yield thing, template["spec"], container


def program_complaints(container):
    image = f"registry.invalid/{programs.IMAGES}/{NAME}:{programs.version(ROOT)}"
    if container["image"] != image:
        yield f"its image is not {image}"
    environment = [(variable["name"], variable.get("value", "")) for variable in container.get("env", [])]
    yield from programs.Program(ROOT, NAME).complaints(container["args"], environment)


def confinement_complaints(pod, container):
    own, of_pod = container["securityContext"], pod["securityContext"]
    confined = (
        own.get("readOnlyRootFilesystem") is True
        and own.get("allowPrivilegeEscalation") is False
        and own.get("capabilities") == {"drop": ["ALL"]}
        and of_pod.get("runAsNonRoot") is True
        and of_pod.get("seccompProfile") == {"type": "RuntimeDefault"}
        # The image says who it is, and OpenShift says otherwise.
        and "runAsUser" not in {**own, **of_pod}
    )
    if not confined:
        yield "it is not confined"
    resources = container["resources"]
    if not ({"cpu", "memory"} <= resources["requests"].keys() and "memory" in resources["limits"]):
        yield "it says not what it takes"


def volume_complaints(objects, pod, container):
    """A file that is named lies in a volume, and the volume is there."""
    there = {thing["metadata"]["name"] for thing in objects} | OF_OTHERS
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    mounts = [pathlib.PurePosixPath(mount["mountPath"]) for mount in container.get("volumeMounts", [])]
    for mount in container.get("volumeMounts", []):
        volume = volumes[mount["name"]]
        source = volume.get("configMap", {}).get("name") or volume.get("secret", {}).get("secretName")
        source = source or volume["persistentVolumeClaim"]["claimName"]
        if source not in there:
            yield f"there is no {source}"
    for variable in container.get("env", []):
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        if reference and reference["name"] not in there:
            yield f"there is no {reference['name']}"
        file = variable.get("value", "")
        lies = pod.get("automountServiceAccountToken") if file.startswith(ACCOUNT) else False
        if file.startswith("/") and not lies and not any(pathlib.PurePosixPath(file).is_relative_to(at) for at in mounts):
            yield f"{variable['name']}: {file} is in no volume"


def port_complaints(container, listens, speaks_tls):
    if container["ports"] != [{"name": "http", "containerPort": listens}]:
        yield f"it listens at {listens}"
    for probe, path in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        asked = {"path": path, "port": "http", **({"scheme": "HTTPS"} if speaks_tls else {})}
        if container[probe]["httpGet"] != asked:
            yield f"{probe} is not {asked}"


def service_complaints(objects, thing, container):
    """The Service is one that the bridge finds, by the scheme that is spoken; and a policy says who reaches the pod."""
    labels = thing["spec"]["template"]["metadata"]["labels"]
    of_pod = [other for other in objects if other["kind"] == "Service" and has(labels, other["spec"]["selector"])]
    speaks_tls = any(variable["name"] == "TLS_CERT" for variable in container["env"])
    port = ("https-api" if speaks_tls else "http-api", "http")
    if len(of_pod) != 1 or [(found["name"], found["targetPort"]) for found in of_pod[0]["spec"]["ports"]] != [port]:
        yield f"there is not one Service of it with the port {port[0]}"
    elif of_pod[0]["metadata"]["labels"].get("component") != NAME:
        yield "its Service has not the label by which the bridge finds registries"
    listens = int(container["args"][container["args"].index("--port") + 1])
    yield from port_complaints(container, listens, speaks_tls)
    policies = [other["spec"] for other in objects if other["kind"] == "NetworkPolicy"]
    policies = [spec for spec in policies if has(labels, spec["podSelector"].get("matchLabels"))]
    closed = [rule for spec in policies if "Ingress" in spec["policyTypes"] for rule in spec.get("ingress", [])]
    if not closed or any([port["port"] for port in rule["ports"]] != [listens] for rule in closed):
        yield "no NetworkPolicy says who reaches it"
    # SQLite takes one process only.
    if thing["spec"]["replicas"] != 1 or thing["spec"]["strategy"] != {"type": "Recreate"}:
        yield "there may be two at a time"


def address_complaints(objects, container):
    """Where the seed and the reconciler go is where the registry is."""
    urls = {
        f"{port['name'].removesuffix('-api')}://{service['metadata']['name']}{domain}:{port['port']}"
        for service in objects
        if service["kind"] == "Service"
        for port in service["spec"]["ports"]
        for domain in ("", f".{service['metadata']['namespace']}.svc")
    }
    for variable in container["env"]:
        if variable["name"] == "MR_URL" and variable["value"] not in urls:
            yield f"nothing is at {variable['value']}"


def account_complaints(objects, pod):
    accounts = [thing["metadata"]["name"] for thing in objects if thing["kind"] == "ServiceAccount"]
    if pod["serviceAccountName"] not in accounts:
        yield f"there is no account {pod['serviceAccountName']}"


def complaints(objects):
    for thing, pod, container in containers(objects):
        own = list(program_complaints(container))
        own += confinement_complaints(pod, container)
        own += volume_complaints(objects, pod, container)
        own += address_complaints(objects, container)
        own += account_complaints(objects, pod)
        if container["args"][0] == "reconcile":
            own += port_complaints(container, ADMIN_PORT, False)
        elif thing["kind"] == "Deployment":
            own += service_complaints(objects, thing, container)
        yield from (f"{thing['kind']} {thing['metadata']['name']}: {complaint}" for complaint in own)


def main(*files):
    wrong, held = [], 0
    for file in map(pathlib.Path, files):
        objects = list(yaml.safe_load_all(file.read_text()))
        held += len(list(containers(objects)))
        wrong += [f"{file.stem}: {complaint}" for complaint in complaints(objects)]
    print(*wrong, sep="\n", end="\n" if wrong else "", file=sys.stderr)
    if not held:
        sys.exit(f"none of the files runs {NAME}")
    sys.exit(1 if wrong else 0)


main(*sys.argv[1:])
