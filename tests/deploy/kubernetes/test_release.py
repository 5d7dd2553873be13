"""What stands in several places is the same in all of them."""

import re
import unittest

import rendering
import yaml

DEPLOY = rendering.ROOT / "deploy"


def compose():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


class Release(unittest.TestCase):
    def test_the_image_is_that_of_this_version(self):
        cargo = (rendering.ROOT / "Cargo.toml").read_text()
        image = "beamline-registry:" + re.search(r'^version = "(.+)"$', cargo, re.M)[1]
        images = {service["image"] for service in compose()["services"].values()}
        for folder in ("overlays/sidecar", "overlays/standalone", "migrate"):
            for _, template in rendering.pod_templates(rendering.rendered(folder)):
                images |= {c["image"] for c in rendering.containers(template["spec"])}
        ours = {name for name in images if name.startswith("beamline-registry")}
        self.assertEqual(ours, {image})

    def test_the_shipped_fixtures_are_the_mounted_ones(self):
        documents = rendering.rendered("settings")
        fixtures = rendering.named(documents, "ConfigMap", "beamline-registry-fixtures")
        shipped = (rendering.ROOT / "fixtures" / "extensions").glob("*.json")
        self.assertEqual(fixtures["data"], {path.name: path.read_text() for path in shipped})

    def test_files_that_compose_mounts_are_there(self):
        found = 0
        for name, service in compose()["services"].items():
            for volume in service.get("volumes", []):
                source = volume.split(":")[0]
                if source.startswith("."):
                    found += 1
                    self.assertTrue((DEPLOY / source).exists(), f"{name}: {source}")
        self.assertGreaterEqual(found, 7)

    def test_compose_publishes_on_the_loopback_only(self):
        for service in compose()["services"].values():
            for port in service.get("ports", []):
                self.assertTrue(port.startswith("127.0.0.1:"), port)

    def test_compose_gives_every_user_of_nats_a_password(self):
        users = (DEPLOY / "nats" / "nats-server.conf").read_text()
        used = set(re.findall(r"password: \$([A-Z_]+)", users))
        self.assertTrue(used)
        self.assertEqual(set(compose()["services"]["nats"]["environment"]), used)


if __name__ == "__main__":
    unittest.main()
