"""What cargo and the Dockerfiles say of our programs: variables, flags, subcommands, ports."""

import re

IMAGES = "model-catalog-bridge"
# Which crates have the settings of an image's program, besides those that these depend on. `bridge` depends on the registry,
# too, but `up` takes nothing of its settings.
ROOTS = {
    "model-registry": ["model-registry"],
    "model-catalog-bridge": ["normalizer", "storage-rest", "location"],
}
# Where the subcommands are.
COMMANDS = {"model-registry": "crates/model-registry/src/settings.rs", "model-catalog-bridge": "crates/bridge/src/main.rs"}


def of_image(image):
    """The name of our program in an image; none in images of others."""
    found = re.search(rf"/{IMAGES}/([\w-]+)(?=:|$)", image)
    return found[1] if found else None


def version(root):
    """The version of all crates, which the images' tags are."""
    return re.search(r'^version = "(.+)"$', (root / "Cargo.toml").read_text(), flags=re.MULTILINE)[1]


def sources(root, program):
    """The sources of a program's crates, without tests."""
    crates, wanted = {}, list(ROOTS[program])
    while wanted:
        crate = root / "crates" / wanted.pop()
        if crate.name in crates or not crate.is_dir():
            continue
        manifest = (crate / "Cargo.toml").read_text()
        dependencies = re.search(r"^\[dependencies\]\n(.*?)(?=^\[|\Z)", manifest, flags=re.MULTILINE | re.DOTALL)
        wanted += re.findall(r"^([\w-]+)", dependencies[1] if dependencies else "", flags=re.MULTILINE)
        files = (crate / "src").rglob("*.rs")
        crates[crate.name] = "\n".join(file.read_text() for file in files if file.name != "tests.rs")
    return "\n".join(crates.values())


class Program:
    """One of our programs."""

    def __init__(self, root, name):
        if name not in ROOTS:
            raise KeyError(f"{name} is none of {', '.join(ROOTS)}")
        text = sources(root, name)
        self.variables = set(re.findall(r'\benv = "(\w+)"', text))
        self.flags = {field.replace("_", "-") for field in re.findall(r"^ +pub (\w+): ", text, flags=re.MULTILINE)}
        self.subcommands = {
            variant.lower() for variant in re.findall(r"^    ([A-Z]\w*)\(", (root / COMMANDS[name]).read_text(), flags=re.MULTILINE)
        }
        dockerfile = (root / "Dockerfiles" / f"{name}.Dockerfile").read_text()
        self.ports = {int(port) for port in re.search(r"^EXPOSE (.*)$", dockerfile, flags=re.MULTILINE)[1].split()}

    def complaints(self, arguments, environment):
        """What is wrong with a command line and `(variable, value)` in their order. `$(NAME)` is what stands before."""
        if not arguments or arguments[0] not in self.subcommands:
            yield f"{arguments} begins with none of {', '.join(sorted(self.subcommands))}"
        for flag in (argument[2:].partition("=")[0] for argument in arguments if argument.startswith("--")):
            if flag not in self.flags:
                yield f"there is no flag --{flag}"
        used = set(re.findall(r"\$\((\w+)\)", " ".join(str(value) for _, value in environment)))
        before = set()
        for variable, value in environment:
            if variable not in self.variables | used:
                yield f"there is no setting {variable}"
            for name in set(re.findall(r"\$\((\w+)\)", str(value))) - before:
                yield f"{variable} needs {name}, which does not stand before it"
            before.add(variable)
