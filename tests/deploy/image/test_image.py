"""What the image is made of."""

import gzip
import json
import subprocess
import unittest

from docker import IMAGE, docker

MAX_COMPRESSED_BYTES = 25_000_000


class Image(unittest.TestCase):
    def test_it_is_small(self):
        with subprocess.Popen(["docker", "save", IMAGE], stdout=subprocess.PIPE) as saving:
            size = len(gzip.compress(saving.stdout.read(), 6))
        print(f"{IMAGE}: {size / 1e6:.1f} MB compressed")
        self.assertLess(size, MAX_COMPRESSED_BYTES)

    def test_its_configuration(self):
        config = json.loads(docker("inspect", "--format={{json .Config}}", IMAGE))
        self.assertEqual(config["User"], "65532:65532")
        self.assertEqual(config["Entrypoint"], ["/beamline-registry"])
        health = ["CMD", "/beamline-registry", "probe", "ready"]
        self.assertEqual(config["Healthcheck"]["Test"], health)
        labels = {name.rpartition(".")[2] for name in config["Labels"]}
        self.assertEqual(labels, {"title", "description", "licenses", "version", "revision"})
        self.assertNotIn("unknown", config["Labels"].values())
        version = config["Labels"]["org.opencontainers.image.version"]
        self.assertEqual(self.run_once("--version"), f"beamline-registry {version}")

    def test_nothing_in_it_belongs_to_its_user_and_there_is_no_shell(self):
        container = docker("create", IMAGE)
        self.addCleanup(docker, "rm", container)
        tar = subprocess.run(["docker", "export", container], capture_output=True, check=True)
        listing = subprocess.run(
            ["tar", "tv", "--numeric-owner"], input=tar.stdout, capture_output=True, check=True
        ).stdout.decode()
        files = {line.split()[5]: line.split()[:2] for line in listing.splitlines()}
        for path, (mode, owner) in files.items():
            self.assertEqual(owner, "0/0", path)
            if not mode.startswith("l"):
                self.assertNotEqual(mode[8], "w", path)
        self.assertIn("etc/ssl/certs/ca-certificates.crt", files)
        self.assertIn("etc/beamline-registry/fixtures/extensions/normalize_text.json", files)
        self.assertIn("etc/beamline-registry/prod.toml", files)
        self.assertEqual([path for path in files if "bin/" in path], [])

    def test_its_configuration_files_are_good(self):
        effective = self.run_once("check", "--config=dev.toml", succeeds=False)
        self.assertIn("dev.toml", effective)

    @staticmethod
    def run_once(*arguments, succeeds=True):
        command = ["docker", "run", "--rm", "--read-only", IMAGE, *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        if succeeds and done.returncode != 0:
            raise AssertionError(done.stderr)
        return done.stdout.strip()


if __name__ == "__main__":
    unittest.main()
