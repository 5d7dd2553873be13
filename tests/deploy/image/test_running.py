"""The image at work, and how it ends: no request that it accepted stays without its answer."""

import asyncio
import unittest

from docker import Network, docker
from load import Load


class Running(unittest.TestCase):
    def test_it_runs_without_rights_and_is_healthy(self):
        network = Network(self)
        network.nats()
        registry = network.registry("registry").healthy()
        titles, process = docker("top", registry.id, "-eo", "pid,uid,gid,args").splitlines()
        self.assertEqual(titles.split(), ["PID", "UID", "GID", "COMMAND"])
        self.assertEqual(process.split()[1:], ["65532", "65532", "/beamline-registry"])
        docker("exec", registry.id, "/beamline-registry", "probe", "live")

    def test_stopped_under_load_it_answers_what_it_has_accepted(self):
        self.stopped_under_load(others=0)

    def test_stopped_beside_another_nobody_notices(self):
        load = self.stopped_under_load(others=1)
        self.assertEqual(load.lookups["refused"], 0)
        self.assertEqual(load.calls["refused"], 0)

    def stopped_under_load(self, others):
        network = Network(self)
        url = network.nats()
        registry = network.registry("registry").healthy()
        for other in range(others):
            network.registry(f"other-{other}").healthy()

        async def stop(load):
            await load.more("answered", 100)
            await asyncio.to_thread(docker, "stop", "--time=60", registry.id)
            # Alone, whoever comes later is told at once; else the other one answers.
            await load.more("answered" if others else "refused", 100)

        load = Load()
        asyncio.run(load.run(url, stop))
        print(f"lookups {dict(load.lookups)}, calls {dict(load.calls)}")
        self.assertEqual(load.errors, [])
        for counts in (load.lookups, load.calls):
            self.assertEqual(counts["lost"], 0)
            self.assertGreaterEqual(counts["answered"], 100)
        # 137 if it had been killed.
        self.assertEqual(registry.state()["ExitCode"], 0)
        return load


if __name__ == "__main__":
    unittest.main()
