"""The strict schemas: of Kubernetes, and of the one custom resource that is used."""

import json
import pathlib

import jsonschema
import kubernetes_validate

# The oldest that starts native sidecars by itself, and a current one.
KUBERNETES_VERSIONS = ("1.29", "1.37")
# What is used of the Prometheus operator's PodMonitor, and nothing else: its own schema comes with
# no package. A field that is missing here is to be looked up in the operator's API reference.
POD_MONITOR = json.loads(
    pathlib.Path(__file__).with_name("podmonitor.schema.json").read_text()
)


def fault(document):
    """What is wrong with a document; None when nothing is.

    A kind without a schema is a fault. So is a server's version without schemas, for which the
    library would quietly take an older one.
    """
    try:
        if document.get("kind") == "PodMonitor":
            jsonschema.validate(document, POD_MONITOR, jsonschema.Draft202012Validator)
            return None
        for wanted in KUBERNETES_VERSIONS:
            version = kubernetes_validate.validate(document, wanted, strict=True)
            if version != wanted:
                return f"validated against {version} instead of {wanted}"
    except jsonschema.ValidationError as error:
        return f"{error.json_path}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError as error:
        return error.message
    return None
