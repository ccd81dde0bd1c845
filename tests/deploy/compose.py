"""Holds deploy/compose against what is run in it: images, variables, flags, ports, addresses, volumes.

    compose.py FILE [FURTHER-FILES-ON-TOP-OF-IT...]

Whether it is a Compose file at all is looked at by `make lint-files`, by the schema of Compose.
"""

import pathlib
import re
import sys
import urllib.parse

import yaml

import programs

ROOT = pathlib.Path(__file__).resolve().parents[2]


def merged(below, above):
    """As Compose lays one file on another, as far as ours need it."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {key: merged(below.get(key), above.get(key)) for key in {**below, **above}}
    if isinstance(below, list) and isinstance(above, list):
        return below + above
    return below if above is None else above


def defaulted(text):
    """With no variable set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(text))


def image_complaints(name, service, directory):
    """Images are ours, at our version, and built by the Dockerfile of that name."""
    wanted = f"registry.invalid/{programs.IMAGES}/{name}:{programs.version(ROOT)}"
    if defaulted(service["image"]) != wanted:
        yield f"its image is not {wanted}"
    build = service.get("build")
    if build:
        context = (directory / build["context"]).resolve()
        if context != ROOT or not (context / build["dockerfile"]).is_file():
            yield f"there is nothing to build in {build}"
        if build["dockerfile"] != f"Dockerfiles/{name}.Dockerfile":
            yield f"{build['dockerfile']} makes another image"


def confinement_complaints(service):
    if not (service.get("read_only") and service.get("cap_drop") == ["ALL"] and "user" not in service):
        yield "it is not confined (read_only, cap_drop)"
    if "healthcheck" in service:
        yield "its image has nothing that a healthcheck could run"


def volume_complaints(service, volumes, directory):
    for source, target, *_ in (volume.split(":") for volume in service.get("volumes", [])):
        if source.startswith("."):
            if not (directory / source).exists():
                yield f"{source} is not there"
        elif source not in volumes:
            yield f"{source} is no volume of the file"
    mounts = [pathlib.PurePosixPath(volume.split(":")[1]) for volume in service.get("volumes", [])]
    files = [argument for argument in service["command"] if argument.startswith("/")]
    files += [value for value in service.get("environment", {}).values() if str(value).startswith("/")]
    for file in map(pathlib.PurePosixPath, files):
        if not any(file.is_relative_to(mount) for mount in mounts):
            yield f"{file} is in no volume"


def address_complaints(service, ports):
    """What is asked is there, at a port at which it listens."""
    for variable, value in service.get("environment", {}).items():
        found = re.search(r"https?://\S+", defaulted(value))
        url = urllib.parse.urlsplit(found[0]) if found else None
        if url and url.hostname != "localhost" and url.port not in ports.get(url.hostname, ()):
            yield f"{variable}: nothing listens at {url.netloc}"


def port_complaints(service, ports):
    for published in service.get("ports", []):
        if not published.startswith("127.0.0.1:") or int(published.split(":")[2]) not in ports:
            yield f"{published} is no port of it on this machine alone"


def complaints(document, directory):
    services = document["services"]
    names = {name: programs.of_image(service["image"]) for name, service in services.items()}
    known = {name: programs.Program(ROOT, program) for name, program in names.items() if program}
    ports = {name: program.ports for name, program in known.items()}
    for name, service in services.items():
        own = list(port_complaints(service, ports.get(name, ())))
        own += [f"there is no service {other}" for other in service.get("depends_on", []) if other not in services]
        if name in known:
            own += image_complaints(names[name], service, directory)
            own += confinement_complaints(service)
            own += volume_complaints(service, document["volumes"], directory)
            own += address_complaints(service, ports)
            own += known[name].complaints(service["command"], service.get("environment", {}).items())
        yield from (f"{name}: {complaint}" for complaint in own)


def main(*files):
    document = {}
    for file in map(pathlib.Path, files):
        document = merged(document, yaml.safe_load(file.read_text()))
    wrong = list(complaints(document, pathlib.Path(files[0]).resolve().parent))
    if wrong:
        print(*(f"{' + '.join(files)}: {complaint}" for complaint in wrong), sep="\n", file=sys.stderr)
        sys.exit(1)


main(*sys.argv[1:])
