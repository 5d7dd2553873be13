"""Containers that end with the test, and waiting for what they do."""

import json
import os
import subprocess
import time
import uuid

IMAGE = os.environ["BEAMLINE_IMAGE"]
NATS_IMAGE = "nats:2.12-alpine"
# A condition comes true in a second or two, or never.
DEADLINE_SECONDS = 60


def docker(*arguments):
    """What `docker` prints; its failure is the test's, with its own words."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"docker {' '.join(arguments)}: {done.stderr}")
    return done.stdout.strip()


def until(what, condition):
    """Waits for a condition; its value when it is true."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {DEADLINE_SECONDS} s: {what}")
        time.sleep(0.05)
    return value


class Network:
    """A network of its own, in which containers find each other by name."""

    def __init__(self, test):
        self.test = test
        self.name = f"beamline-test-{uuid.uuid4().hex[:8]}"
        docker("network", "create", self.name)
        test.addCleanup(docker, "network", "rm", self.name)

    def nats(self):
        """A nats-server, known as `nats` within; its URL from without."""
        container = Container(self, "nats", NATS_IMAGE, "--publish", "127.0.0.1::4222")
        [address, *_] = docker("port", container.id, "4222").splitlines()
        return f"nats://{address}"

    def registry(self, name):
        """The daemon, as little trusted as Kubernetes' restricted profile has it."""
        return Container(
            self,
            name,
            IMAGE,
            "--read-only",
            "--cap-drop=ALL",
            "--security-opt=no-new-privileges",
            "--env=EXTENSION_REGISTRY_NATS_URL=nats://nats:4222",
            # What is asked is how it ends, not how long it may take on a busy machine.
            "--env=EXTENSION_REGISTRY_SHUTDOWN_GRACE_SECONDS=20",
            "--health-interval=1s",
        )


class Container:
    """A container that is removed at the end of the test."""

    def __init__(self, network, name, image, *options):
        self.id = docker(
            "run", "--detach", f"--network={network.name}", f"--network-alias={name}", *options, image
        )
        network.test.addCleanup(docker, "rm", "--force", "--volumes", self.id)

    def state(self):
        return json.loads(docker("inspect", "--format={{json .State}}", self.id))

    def healthy(self):
        """Waits until Docker says so, by the image's own health command."""
        until("healthy", lambda: self.state()["Health"]["Status"] == "healthy")
        return self
