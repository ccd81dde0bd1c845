"""Holds rendered manifests against schemas: those of Kubernetes, strictly, and our own of the custom resources.

    check.py DIRECTORY-OF-SCHEMAS FILE...

A kind that has no schema is an error, and so is a field that its schema does not know.
"""

import json
import pathlib
import sys

import jsonschema
import kubernetes_validate
import yaml

# The oldest and the newest that are supported.
VERSIONS = ["1.28", "1.35"]


def own_schemas(directory):
    """Our schemas, by group and kind; the versions are in the schema."""
    schemas = {}
    for file in pathlib.Path(directory).glob("*.json"):
        schema = json.loads(file.read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        kind = schema["properties"]["kind"]["const"]
        group = schema["properties"]["apiVersion"]["enum"][0].split("/")[0]
        schemas[group, kind] = jsonschema.Draft202012Validator(schema)
    return schemas


def made_of(document):
    """What others make of a document, as far as it says: RHDH's operator of the patch in a Backstage resource, KServe of a
    container for pods."""
    patch = document["spec"].get("deployment", {}).get("patch")
    if document["kind"] == "Backstage" and patch:
        base = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "patch"}}
        yield {**base, **patch, "spec": {"selector": {}, **patch["spec"]}}
    if document["kind"] == "ClusterStorageContainer":
        spec = {"initContainers": [document["spec"]["container"]], "containers": []}
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}


def complaints(document, schemas):
    """What is wrong with a document."""
    group = document["apiVersion"].split("/")[0]
    own = schemas.get((group, document["kind"]))
    if own:
        for error in own.iter_errors(document):
            yield f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
        for made in made_of(document):
            yield from complaints(made, schemas)
        return
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{'/'.join(map(str, error.path))}: {error.message} (Kubernetes {version})"
        except kubernetes_validate.SchemaNotFoundError:
            yield f"no schema of Kubernetes {version}, and none of ours"


def main(schemas, *files):
    schemas = own_schemas(schemas)
    wrong = count = 0
    for file in files:
        for document in yaml.safe_load_all(pathlib.Path(file).read_text()):
            count += 1
            name = f"{document['kind']} {document['metadata']['name']}"
            for complaint in complaints(document, schemas):
                wrong += 1
                print(f"{pathlib.Path(file).stem}: {name}: {complaint}", file=sys.stderr)
    if wrong:
        sys.exit(f"{wrong} complaints about the manifests in deploy/")
    print(f"{count} objects of {len(files)} kustomizations fit their schemas")


main(*sys.argv[1:])
