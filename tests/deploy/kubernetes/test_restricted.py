"""No pod may do more than it must."""

import copy
import unittest

import rendering
import restricted


def weakened(**changes):
    return lambda container: container["securityContext"].update(changes)


class Restricted(unittest.TestCase):
    def test_every_pod_keeps_the_restricted_profile(self):
        pods = 0
        for folder in rendering.folders():
            for name, template in rendering.pod_templates(rendering.rendered(folder)):
                pods += 1
                with self.subTest(folder=folder, name=name):
                    self.assertEqual(restricted.violations(template["spec"]), [])
        self.assertGreaterEqual(pods, 4)

    def test_the_migration_runs_as_the_owner_and_the_daemon_does_not(self):
        [(_, job)] = rendering.pod_templates(rendering.rendered("migrate"))
        env = {v["name"]: v["value"] for v in job["spec"]["containers"][0]["env"]}
        for folder in ("overlays/sidecar", "overlays/standalone"):
            for settings in rendering.of_kind(rendering.rendered(folder), "ConfigMap"):
                user = settings["data"].get("EXTENSION_REGISTRY_DB_USER")
                self.assertNotEqual(user, env["EXTENSION_REGISTRY_DB_USER"])

    def test_each_weakness_is_found(self):
        documents = rendering.rendered("overlays/sidecar")
        sound = rendering.named(documents, "Deployment", "router")["spec"]["template"]["spec"]
        for weakness in [
            weakened(runAsNonRoot=False),
            weakened(runAsUser=0),
            weakened(allowPrivilegeEscalation=True),
            weakened(privileged=True),
            weakened(readOnlyRootFilesystem=False),
            weakened(capabilities={"drop": ["NET_RAW"]}),
            weakened(capabilities={"drop": ["ALL"], "add": ["SYS_PTRACE"]}),
            weakened(seccompProfile={"type": "Unconfined"}),
            weakened(procMount="Unmasked"),
            lambda container: container.pop("securityContext"),
            lambda container: container.pop("resources"),
        ]:
            for place in ("containers", "initContainers"):
                pod_spec = copy.deepcopy(sound)
                weakness(pod_spec[place][0])
                self.assertNotEqual(restricted.violations(pod_spec), [])
        for weakness in [
            {"hostNetwork": True},
            {"automountServiceAccountToken": True},
            {"enableServiceLinks": True},
            {"volumes": [{"name": "host", "hostPath": {"path": "/"}}]},
        ]:
            self.assertNotEqual(restricted.violations({**sound, **weakness}), [])


if __name__ == "__main__":
    unittest.main()
