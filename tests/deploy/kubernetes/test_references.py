"""Whatever a manifest names is there, or is documented as to be provided."""

import re
import unittest

import rendering

DOCUMENT = rendering.ROOT / "docs" / "install.md"


def provided():
    """The keys of each Secret that docs/install.md asks for."""
    rows = re.findall(r"^\| `([a-z-]+)` \| ([`a-z_., ]+) \|", DOCUMENT.read_text(), re.M)
    return {name: set(re.findall(r"`([a-z_.]+)`", keys)) for name, keys in rows}


def references(pod_spec):
    """`(kind, name)` of every ConfigMap and Secret that a pod needs."""
    for container in rendering.containers(pod_spec):
        for source in container.get("envFrom", []):
            for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if key in source:
                    yield kind, source[key]["name"]
        for variable in container.get("env", []):
            source = variable.get("valueFrom", {})
            for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                if key in source:
                    yield kind, source[key]["name"]
    for volume in pod_spec.get("volumes", []):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"]


def ports(pod_spec):
    """The ports of a pod, by name and by number."""
    found = set()
    for container in rendering.containers(pod_spec):
        for port in container.get("ports", []):
            found |= {port["containerPort"], port["name"]}
    return found


def selects(selector, labels):
    """Whether a label selector matches."""
    matches = {
        "In": lambda value, values: value in values,
        "NotIn": lambda value, values: value not in values,
        "Exists": lambda value, _: value is not None,
        "DoesNotExist": lambda value, _: value is None,
    }
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        matches[rule["operator"]](labels.get(rule["key"]), rule.get("values", []))
        for rule in selector.get("matchExpressions", [])
    )


class References(unittest.TestCase):
    @staticmethod
    def every_pod():
        for folder in rendering.folders():
            documents = rendering.rendered(folder)
            for _, template in rendering.pod_templates(documents):
                yield documents, template

    def test_config_maps_are_there_and_secrets_documented(self):
        found = 0
        for documents, template in self.every_pod():
            for kind, name in references(template["spec"]):
                found += 1
                if kind == "ConfigMap":
                    rendering.named(documents, kind, name)
                else:
                    self.assertIn(name, provided())
        self.assertGreaterEqual(found, 8)

    def test_files_named_by_settings_are_mounted(self):
        found = 0
        for documents, template in self.every_pod():
            spec = template["spec"]
            volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
            for container in rendering.containers(spec):
                mounts = container.get("volumeMounts", [])
                for path in self.values(documents, container):
                    if not path.startswith("/"):
                        continue
                    found += 1
                    [mount] = [m for m in mounts if f"{path}/".startswith(m["mountPath"] + "/")]
                    key = path[len(mount["mountPath"]) :].strip("/")
                    volume = volumes[mount["name"]]
                    if "secret" in volume:
                        self.assertIn(key, provided()[volume["secret"]["secretName"]])
                    else:
                        self.assertEqual(key, "", f"{path} is a folder of fixtures")
        self.assertGreaterEqual(found, 12)

    @staticmethod
    def values(documents, container):
        """The values of all settings of a container."""
        for variable in container.get("env", []):
            if variable["name"].startswith("EXTENSION_REGISTRY_"):
                yield variable.get("value", "")
        for source in container.get("envFrom", []):
            name = source["configMapRef"]["name"]
            yield from rendering.named(documents, "ConfigMap", name)["data"].values()

    def test_mounts_have_volumes_and_probes_have_ports(self):
        for _, template in self.every_pod():
            spec = template["spec"]
            volumes = {volume["name"] for volume in spec.get("volumes", [])}
            for container in rendering.containers(spec):
                for mount in container.get("volumeMounts", []):
                    self.assertIn(mount["name"], volumes)
                ports = {port["name"] for port in container.get("ports", [])}
                for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                    if probe in container:
                        self.assertIn(container[probe]["httpGet"]["port"], ports)

    def test_the_port_is_the_one_that_is_listened_on(self):
        for documents, template in self.every_pod():
            for container in rendering.containers(template["spec"]):
                for port in container.get("ports", []):
                    if port["name"] != "registry-http":
                        continue
                    address = f"0.0.0.0:{port['containerPort']}"
                    self.assertIn(address, self.values(documents, container))

    def test_selectors_find_pods_with_the_ports_they_name(self):
        found = 0
        for folder in rendering.folders():
            documents = rendering.rendered(folder)
            pods = [template for _, template in rendering.pod_templates(documents)]
            for document in documents:
                selector, used = self.selector_and_ports(document)
                if selector is None:
                    continue
                found += 1
                chosen = [p for p in pods if selects(selector, p["metadata"]["labels"])]
                with self.subTest(folder=folder, kind=document["kind"]):
                    self.assertTrue(chosen)
                    for pod in chosen:
                        self.assertLessEqual(used, ports(pod["spec"]))
        self.assertGreaterEqual(found, 8)

    @staticmethod
    def selector_and_ports(document):
        """Which pods a document is about, and the ports of theirs that it names."""
        spec = document.get("spec", {})
        match document["kind"]:
            case "PodMonitor":
                endpoints = spec["podMetricsEndpoints"]
                return spec["selector"], {endpoint["port"] for endpoint in endpoints}
            case "NetworkPolicy":
                rules = spec.get("ingress", [])
                return spec["podSelector"], {port["port"] for rule in rules for port in rule["ports"]}
            case "PodDisruptionBudget" | "Deployment":
                return spec["selector"], set()
        return None, set()


if __name__ == "__main__":
    unittest.main()
