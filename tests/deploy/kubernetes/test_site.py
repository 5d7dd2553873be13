"""What is changed in site/kustomization.yaml reaches everything that is rendered."""

import os
import pathlib
import re
import shutil
import tempfile
import unittest

import rendering
import yaml

VALUES = {
    "namespace: beamline": "namespace: elsewhere",
    "newName: beamline-registry": "newName: images.example/yours",
    "newTag: 0.1.0": "newTag: 9.9.9",
    "nats_url=tls://nats.beamline.svc:4222": "nats_url=tls://nats.example:4333",
    "db_host=postgres.beamline.svc": "db_host=postgres.example",
    "db_port=5432": "db_port=6543",
    "db_name=beamline": "db_name=extensions",
    "environment=production": "environment=staging",
}
OVERLAYS = ("overlays/sidecar", "overlays/standalone")


class Site(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        root = pathlib.Path(folder.name).resolve()
        kubernetes = root / "deploy" / "kubernetes"
        shutil.copytree(rendering.KUBERNETES, kubernetes)
        shutil.copytree(rendering.ROOT / "fixtures", root / "fixtures")
        site = kubernetes / "site" / "kustomization.yaml"
        text = site.read_text()
        for old, new in VALUES.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        site.write_text(text)
        cls.rendered = {f: rendering.build(kubernetes / f) for f in (*OVERLAYS, "migrate")}

    def test_every_object_is_in_the_namespace(self):
        for documents in self.rendered.values():
            for document in documents:
                name = "name" if document["kind"] == "Namespace" else "namespace"
                self.assertEqual(document["metadata"][name], "elsewhere", document["kind"])

    def test_every_container_of_ours_has_the_image(self):
        found = 0
        for documents in self.rendered.values():
            for _, template in rendering.pod_templates(documents):
                for container in rendering.containers(template["spec"]):
                    if container["name"] != "router":
                        found += 1
                        self.assertEqual(container["image"], "images.example/yours:9.9.9")
        self.assertEqual(found, 3)

    def test_settings_and_migration_have_the_addresses(self):
        for overlay in OVERLAYS:
            maps = rendering.of_kind(self.rendered[overlay], "ConfigMap")
            [settings] = [m["data"] for m in maps if "EXTENSION_REGISTRY_SOURCE" in m["data"]]
            self.assertEqual(settings["EXTENSION_REGISTRY_NATS_URL"], "tls://nats.example:4333")
            self.assertEqual(settings["EXTENSION_REGISTRY_DB_HOST"], "postgres.example")
            self.assertEqual(settings["EXTENSION_REGISTRY_DB_PORT"], "6543")
            self.assertEqual(settings["EXTENSION_REGISTRY_DB_NAME"], "extensions")
            self.assertEqual(settings["EXTENSION_REGISTRY_ENVIRONMENT"], "staging")
        [(_, template)] = rendering.pod_templates(self.rendered["migrate"])
        [migrate] = template["spec"]["containers"]
        env = {variable["name"]: variable["value"] for variable in migrate["env"]}
        self.assertEqual(env["EXTENSION_REGISTRY_DB_HOST"], "postgres.example")
        self.assertEqual(env["EXTENSION_REGISTRY_DB_PORT"], "6543")
        self.assertEqual(env["EXTENSION_REGISTRY_DB_NAME"], "extensions")

    def test_no_address_is_left(self):
        for folder, documents in self.rendered.items():
            text = yaml.safe_dump_all(d for d in documents if d["metadata"]["name"] != "router")
            self.assertEqual(re.findall(r"\S*\.beamline\.svc\S*", text), [], folder)

    def test_the_kustomizations_of_the_page_render(self):
        page = (rendering.ROOT / "docs" / "install.md").read_text()
        blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.+?)```", page, re.S)]
        [beside] = [block for block in blocks if "components" in block]
        settings = [block for block in blocks if "configMapGenerator" in block]
        self.assertEqual(len(settings), 2)
        for block in settings:
            documents = self.page(beside | block)
            maps = rendering.of_kind(documents, "ConfigMap")
            [shown] = [m["data"] for m in maps if "EXTENSION_REGISTRY_SOURCE" in m["data"]]
            for literal in block["configMapGenerator"][0]["literals"]:
                name, value = literal.split("=", 1)
                self.assertEqual(shown[name], value)
            [(_, template)] = rendering.pod_templates(documents)
            [sidecar] = template["spec"]["initContainers"]
            self.assertEqual(sidecar["restartPolicy"], "Always")

    def test_the_patch_of_the_page_is_stronger_than_the_site(self):
        page = (rendering.ROOT / "docs" / "install.md").read_text()
        blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.+?)```", page, re.S)]
        [beside] = [block for block in blocks if "components" in block]
        [pooler] = [block for block in blocks if "patches" in block]
        maps = rendering.of_kind(self.page(beside | pooler), "ConfigMap")
        [shown] = [m["data"] for m in maps if "EXTENSION_REGISTRY_SOURCE" in m["data"]]
        [patch] = pooler["patches"]
        wanted = yaml.safe_load(patch["patch"])["data"]
        self.assertEqual(shown, shown | wanted)

    def test_the_folders_that_the_page_has_copied_are_enough(self):
        page = (rendering.ROOT / "docs" / "install.md").read_text()
        [copied] = re.findall(r"Copy (.+?) into", page)
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder).resolve()
            for name in re.findall(r"`(\w+)/`", copied):
                shutil.copytree(rendering.ROOT / name, folder / name)
            for built in (*OVERLAYS, "migrate"):
                self.assertTrue(rendering.build(folder / "deploy" / "kubernetes" / built))

    @staticmethod
    def page(kustomization):
        """A router's folder with this kustomization, rendered."""
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder).resolve()
            shutil.copy(rendering.KUBERNETES / "overlays" / "sidecar" / "router.yaml", folder)
            text = yaml.safe_dump(kustomization)
            text = text.replace("beamline-registry/deploy", os.path.relpath(rendering.ROOT / "deploy", folder))
            (folder / "kustomization.yaml").write_text(text)
            return rendering.build(folder)


if __name__ == "__main__":
    unittest.main()
