"""Registers models with their versions and artifacts in a Model Registry. What is there already is left as it is.

    seed.py models.json

REGISTRY_URL is the registry, REGISTRY_TOKEN_FILE the token of an account that it lets in, REGISTRY_CA the authority of its
certificate. A registry that is not up yet is waited for, REGISTRY_WAIT seconds (300) in all.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

API = "/api/model_registry/v1alpha3"
# What a registry, or the proxy before it, answers until it is up.
NOT_YET = {404, 429, 500, 502, 503, 504}


class Refused(Exception):
    """The registry does not want what it was asked."""


class Registry:
    """A registry over REST."""

    def __init__(self, url, token_file, ca):
        self.base = url.rstrip("/") + API
        self.token_file = token_file
        self.tls = ssl.create_default_context(cafile=ca or None)

    def call(self, method, path, body=None, **query):
        """The answer, or None where there is no such thing."""
        url = f"{self.base}{path}" + ("?" + urllib.parse.urlencode(query) if query else "")
        request = urllib.request.Request(url, method=method, data=body and json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        if self.token_file:
            with open(self.token_file, encoding="utf-8") as file:
                request.add_header("Authorization", f"Bearer {file.read().strip()}")
        try:
            context = self.tls if url.startswith("https:") else None
            with urllib.request.urlopen(request, timeout=30, context=context) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            said = error.read(500).decode(errors="replace")
            if error.code == 404 and method == "GET":
                return None
            if error.code in (401, 403):
                said += " (does the account have `get` on the registry's Service?)"
            raise Refused(f"{method} {path}: {error.code} {said}") from error

    def wait(self, seconds):
        """Waits until the registry lists its models."""
        end = time.monotonic() + seconds
        while True:
            try:
                if self.call("GET", "/registered_models", pageSize=1) is not None:
                    return
                why = "404"
            except Refused as error:
                if error.__cause__.code not in NOT_YET:
                    raise
                why = error
            except (OSError, ValueError) as error:
                why = error
            if time.monotonic() > end:
                sys.exit(f"the registry at {self.base} is not up after {seconds} s: {why}")
            print(f"waiting for the registry: {why}", flush=True)
            time.sleep(min(2, seconds))

    def ensure(self, what, find, create, body, **known):
        """The thing of this name, made where there is none."""
        found = self.call("GET", find, name=body["name"], **known) if find else None
        if found:
            print(f"{what} {body['name']} is there already, id {found['id']}")
            return found
        made = self.call("POST", create, body=with_properties(body))
        print(f"{what} {body['name']} is registered, id {made['id']}")
        return made


def with_properties(body):
    """Custom properties as the registry writes them: all are text here."""
    properties = body.get("customProperties", {})
    written = {key: {"metadataType": "MetadataStringValue", "string_value": value} for key, value in properties.items()}
    return {**body, "customProperties": written}


def register(registry, model):
    """A model with all that is below it."""
    fields = {key: value for key, value in model.items() if key != "versions"}
    registered = registry.ensure("model", "/registered_model", "/registered_models", fields)
    for version in model["versions"]:
        fields = {key: value for key, value in version.items() if key != "artifacts"}
        fields["registeredModelId"] = registered["id"]
        made = registry.ensure(
            "version", "/model_version", "/model_versions", fields, parentResourceId=registered["id"]
        )
        artifacts = f"/model_versions/{made['id']}/artifacts"
        # Some registries find an artifact only with its parent; the list tells in all of them.
        there = {artifact.get("name") for artifact in (registry.call("GET", artifacts, pageSize=100) or {}).get("items", [])}
        for artifact in version["artifacts"]:
            if artifact["name"] in there:
                print(f"artifact {artifact['name']} is there already")
            else:
                registry.ensure("artifact", None, artifacts, {"artifactType": "model-artifact", **artifact})
        print("labels of an InferenceService that serves it:")
        print(f"  modelregistry.opendatahub.io/registered-model-id: \"{registered['id']}\"")
        print(f"  modelregistry.opendatahub.io/model-version-id: \"{made['id']}\"")


def main(file):
    environment = os.environ
    registry = Registry(
        environment["REGISTRY_URL"], environment.get("REGISTRY_TOKEN_FILE"), environment.get("REGISTRY_CA")
    )
    registry.wait(float(environment.get("REGISTRY_WAIT", "300")))
    with open(file, encoding="utf-8") as models:
        for model in json.load(models)["models"]:
            register(registry, model)


try:
    main(*sys.argv[1:])
except Refused as refused:
    sys.exit(str(refused))
