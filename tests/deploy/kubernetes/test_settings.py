"""Every setting that deploy/ names exists."""

import re
import unittest

import rendering

# `NAME, field: type, FORM` in the one table of settings; what may hold a secret has a twin `NAME_FILE`.
VARIABLE = re.compile(r"^ {8}([A-Z][A-Z_]+), \w+: .+?, ([A-Z_]+)\b", re.M)
USE = re.compile(r"EXTENSION_REGISTRY_([A-Z_]*[A-Z])")


def known():
    table = (rendering.ROOT / "src" / "config" / "variables.rs").read_text()
    names = {"CONFIG"}
    for name, kind in VARIABLE.findall(table):
        names.add(name)
        if kind in ("SECRET", "URL", "URLS"):
            names.add(f"{name}_FILE")
    return names


class Settings(unittest.TestCase):
    def test_the_table_is_understood(self):
        names = known()
        self.assertGreater(len(names), 60)
        self.assertLessEqual({"SOURCE", "DB_PASSWORD_FILE", "LOG_FORMAT"}, names)

    def test_every_setting_used_by_deploy_exists(self):
        used = 0
        for path in sorted((rendering.ROOT / "deploy").rglob("*")):
            if path.is_file():
                for name in USE.findall(path.read_text(errors="replace")):
                    used += 1
                    self.assertIn(name, known(), path)
        self.assertGreaterEqual(used, 20)


if __name__ == "__main__":
    unittest.main()
