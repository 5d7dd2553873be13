"""The alerts, as docs/install.md makes an object of the Prometheus operator of them."""

import subprocess
import unittest

import rendering
import yaml

RULES = rendering.ROOT / "deploy" / "prometheus" / "rules" / "beamline-registry.yml"


class Alerts(unittest.TestCase):
    def test_the_command_of_the_page_makes_a_rule_of_them(self):
        page = (rendering.ROOT / "docs" / "install.md").read_text()
        # Every other piece is a block.
        [command] = [b for b in page.split("\n```")[1::2] if "kind: PrometheusRule" in b]
        # What kubectl is given, instead of kubectl.
        done = subprocess.run(
            ["sh", "-ec", f"kubectl() {{ cat; }}\n{command}"],
            cwd=rendering.ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        rule = yaml.safe_load(done.stdout)
        self.assertEqual(rule.pop("spec"), yaml.safe_load(RULES.read_text()))
        self.assertEqual(
            rule,
            {
                "apiVersion": "monitoring.coreos.com/v1",
                "kind": "PrometheusRule",
                "metadata": {"name": "beamline-registry"},
            },
        )


if __name__ == "__main__":
    unittest.main()
