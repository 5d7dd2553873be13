"""Every manifest is what Kubernetes takes, to the letter."""

import copy
import unittest

import rendering
import schemas


class Schemas(unittest.TestCase):
    def test_every_document_of_every_folder_is_valid(self):
        for folder in rendering.folders():
            documents = rendering.rendered(folder)
            self.assertTrue(documents, folder)
            for document in documents:
                with self.subTest(folder=folder, kind=document["kind"]):
                    self.assertIsNone(schemas.fault(document))

    def test_what_the_overlays_hold(self):
        kinds = {
            "overlays/sidecar": ["ConfigMap", "Deployment", "NetworkPolicy", "PodMonitor"],
            "overlays/standalone": [
                "ConfigMap",
                "Deployment",
                "Namespace",
                "NetworkPolicy",
                "PodDisruptionBudget",
                "PodMonitor",
                "ServiceAccount",
            ],
            "migrate": ["Job", "NetworkPolicy"],
        }
        for folder, expected in kinds.items():
            found = {document["kind"] for document in rendering.rendered(folder)}
            self.assertEqual(sorted(found), expected, folder)

    def test_faults_are_found(self):
        documents = rendering.rendered("overlays/sidecar")
        deployment = rendering.named(documents, "Deployment", "router")
        [monitor] = rendering.of_kind(documents, "PodMonitor")
        for document, change in [
            (deployment, lambda d: d["spec"].update(replica=2)),
            (deployment, lambda d: d["spec"].update(replicas="two")),
            (deployment, lambda d: d["spec"]["template"]["spec"].pop("containers")),
            (deployment, lambda d: d.update(kind="Deploiment")),
            (monitor, lambda d: d["spec"].update(podMetricEndpoints=[])),
            (monitor, lambda d: d["spec"]["podMetricsEndpoints"][0].pop("port")),
        ]:
            broken = copy.deepcopy(document)
            change(broken)
            self.assertIsNotNone(schemas.fault(broken))


if __name__ == "__main__":
    unittest.main()
