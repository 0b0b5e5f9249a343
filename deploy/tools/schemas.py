"""Writes the JSON Schemas of Kubernetes for kubeconform: schemas.py VERSION OBJECTS OUT.

The package kubernetes-validate brings them, strict ones too. Their common definitions are at an
address that only its own program knows, so each schema gets those that it needs.
"""

import json
import pathlib
import sys

import kubernetes_validate
import yaml


def references(node):
    """The names of all definitions that a schema refers to."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                yield value.rsplit("/", 1)[-1]
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def complete(schema, definitions):
    """The schema with the definitions that it needs."""
    needed, rest = {}, [schema]
    while rest:
        for name in references(rest.pop()):
            if name not in needed:
                needed[name] = definitions[name]
                rest.append(definitions[name])
    schema.pop("$id", None)
    return schema | {"$defs": needed}


def name_of(item):
    """The name of an object's schema, as kubeconform has it."""
    group, _, version = item["apiVersion"].rpartition("/")
    group = group.split(".")[0]
    return "-".join(filter(None, [item["kind"].lower(), group, version]))


def main():
    """Writes the schemas of all kinds in the file of objects."""
    version, objects, out = sys.argv[1:]
    package = pathlib.Path(kubernetes_validate.__file__).parent
    source = package / "kubernetes-json-schema" / f"v{version}-local-strict"
    target = pathlib.Path(out)
    target.mkdir(parents=True, exist_ok=True)

    def read(name):
        text = (source / f"{name}.json").read_text()
        return json.loads(text.replace("/api/_definitions.json#", "#"))

    definitions = read("_definitions")["$defs"]
    with open(objects, encoding="utf-8") as file:
        items = [item for item in yaml.safe_load_all(file) if item]
    for name in sorted({name_of(item) for item in items}):
        if (source / f"{name}.json").exists():
            schema = complete(read(name), definitions)
            (target / f"{name}.json").write_text(json.dumps(schema))


main()
