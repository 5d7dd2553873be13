"""The component, applied to Deployments that know nothing of it."""

import unittest

import rendering

INSTANCE_ID = {
    "name": "EXTENSION_REGISTRY_INSTANCE_ID",
    "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}},
}


def deployment(name, *containers, labels=None, **pod_spec):
    metadata = {"name": name, "labels": labels or {}}
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": list(containers), **pod_spec},
    }
    spec = {"selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def pod_spec(documents, name):
    return rendering.named(documents, "Deployment", name)["spec"]["template"]["spec"]


class Sidecar(unittest.TestCase):
    def test_a_plain_deployment_gets_one_native_sidecar(self):
        before = deployment("plain", {"name": "app", "image": "app:1"})
        documents = rendering.with_sidecar(before)
        after = rendering.named(documents, "Deployment", "plain")
        spec = after["spec"]["template"]["spec"]

        [sidecar] = spec.pop("initContainers")
        self.assertEqual(sidecar["name"], "beamline-registry")
        self.assertEqual(sidecar["restartPolicy"], "Always")
        self.assertEqual(sidecar["startupProbe"]["httpGet"]["path"], "/startupz")
        self.assertEqual(sidecar["livenessProbe"]["httpGet"]["path"], "/livez")
        self.assertEqual(sidecar["readinessProbe"]["httpGet"]["path"], "/readyz")
        self.assertIn(INSTANCE_ID, sidecar["env"])

        self.assertEqual(
            spec.pop("containers"), [{"name": "app", "image": "app:1", "env": [INSTANCE_ID]}]
        )
        volumes = {volume["name"] for volume in spec.pop("volumes")}
        self.assertEqual(volumes, {"beamline-registry-secrets", "beamline-registry-fixtures"})
        self.assertEqual(
            spec, {"automountServiceAccountToken": False, "enableServiceLinks": False}
        )
        labels = {"app": "plain", "beamline-registry": "sidecar"}
        self.assertEqual(after["spec"]["template"]["metadata"]["labels"], labels)
        # A selector cannot be changed once a Deployment exists.
        self.assertEqual(after["spec"]["selector"], before["spec"]["selector"])

    def test_what_was_there_stays(self):
        first = {"name": "first", "image": "first:1", "env": [{"name": "A", "value": "1"}]}
        second = {"name": "second", "image": "second:1", "command": ["x"]}
        prepare = {"name": "prepare", "image": "prepare:1"}
        volume = {"name": "scratch", "emptyDir": {}}
        documents = rendering.with_sidecar(
            deployment(
                "busy",
                first,
                second,
                initContainers=[prepare],
                volumes=[volume],
                securityContext={"runAsUser": 7},
            )
        )
        spec = pod_spec(documents, "busy")
        # Before the application's own preparations, which may ask it already.
        self.assertEqual(
            [container["name"] for container in spec["initContainers"]],
            ["beamline-registry", "prepare"],
        )
        self.assertEqual(spec["initContainers"][1], prepare)
        self.assertEqual(
            spec["containers"],
            [
                {**first, "env": [{"name": "A", "value": "1"}, INSTANCE_ID]},
                {**second, "env": [INSTANCE_ID]},
            ],
        )
        self.assertIn(volume, spec["volumes"])
        self.assertEqual(spec["securityContext"], {"runAsUser": 7})

    def test_several_deployments_and_those_left_out(self):
        app = {"name": "app", "image": "app:1"}
        documents = rendering.with_sidecar(
            deployment("one", app),
            deployment("two", app),
            deployment("none", app, labels={"beamline-registry": "none"}),
        )
        for name in ("one", "two"):
            self.assertEqual(len(pod_spec(documents, name)["initContainers"]), 1, name)
        self.assertEqual(pod_spec(documents, "none"), {"containers": [app]})

    def test_only_settings_and_fixtures_come_with_it(self):
        documents = rendering.with_sidecar(deployment("a", {"name": "app", "image": "app:1"}))
        names = sorted(d["metadata"]["name"] for d in rendering.of_kind(documents, "ConfigMap"))
        self.assertEqual(len(documents), 3)
        self.assertRegex(names[0], "^beamline-registry-[a-z0-9]{10}$")
        self.assertEqual(names[1], "beamline-registry-fixtures")

    def test_it_is_the_container_of_the_standalone_deployment(self):
        documents = rendering.with_sidecar(deployment("a", {"name": "app", "image": "app:1"}))
        [sidecar] = pod_spec(documents, "a")["initContainers"]
        [standalone] = pod_spec(rendering.rendered("base"), "beamline-registry")["containers"]
        sidecar.pop("restartPolicy")
        for container in (sidecar, standalone):
            # Its name carries a checksum of the settings, which differ.
            container["envFrom"][0]["configMapRef"].pop("name")
        self.assertEqual(sidecar, standalone)


if __name__ == "__main__":
    unittest.main()
