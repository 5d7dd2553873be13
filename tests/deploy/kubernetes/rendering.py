"""What Kustomize makes of deploy/kubernetes, as lists of documents."""

import functools
import os
import pathlib
import subprocess
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
KUBERNETES = ROOT / "deploy" / "kubernetes"
SIDECAR = KUBERNETES / "components" / "sidecar"
SETTINGS = KUBERNETES / "settings"


@functools.cache
def folders():
    """Every folder that can be rendered by itself, which a component cannot."""
    found = []
    for path in sorted(KUBERNETES.rglob("kustomization.yaml")):
        if yaml.safe_load(path.read_text())["kind"] == "Kustomization":
            found.append(str(path.parent.relative_to(KUBERNETES)))
    return found


@functools.cache
def rendered(folder):
    """The documents of a folder of deploy/kubernetes."""
    return build(KUBERNETES / folder)


def with_sidecar(*resources):
    """The documents given, after the sidecar component has been applied to them."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder).resolve()
        (folder / "resources.yaml").write_text(yaml.safe_dump_all(resources))
        kustomization = {
            "resources": ["resources.yaml", os.path.relpath(SETTINGS, folder)],
            "components": [os.path.relpath(SIDECAR, folder)],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        return build(folder)


def build(folder):
    """Renders; a fault of Kustomize fails the test with Kustomize's own words."""
    done = subprocess.run(
        [ROOT / "scripts" / "kustomize", "build", folder], capture_output=True, text=True
    )
    if done.returncode != 0:
        raise AssertionError(f"{folder} cannot be rendered: {done.stderr}")
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def of_kind(documents, kind):
    """The documents of one kind."""
    return [document for document in documents if document["kind"] == kind]


def named(documents, kind, name):
    """The one document of that kind and name."""
    [document] = [d for d in of_kind(documents, kind) if d["metadata"]["name"] == name]
    return document


def pod_templates(documents):
    """`(name, template)` of everything that makes pods."""
    for document in documents:
        if document["kind"] in ("Deployment", "Job", "StatefulSet", "DaemonSet"):
            name = f"{document['kind']}/{document['metadata']['name']}"
            yield name, document["spec"]["template"]


def containers(pod_spec):
    """All containers of a pod, those of the start included."""
    return pod_spec.get("initContainers", []) + pod_spec["containers"]
