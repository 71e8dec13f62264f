"""One version everywhere."""

import re


def test_version_is_one(repo_root, run_ocelli):
    header = re.search(r'kVersion = "([^"]+)"', (repo_root / "ocelli/base/version.h").read_text()).group(1)
    cmake = re.search(r"project\(ocelli VERSION (\S+)", (repo_root / "CMakeLists.txt").read_text()).group(1)
    changelog = re.search(r"^## (\S+)", (repo_root / "CHANGELOG.md").read_text(), re.M).group(1)
    printed = re.match(r"ocelli (\S+) ", run_ocelli(["--version"]).stdout).group(1)
    assert header == cmake == changelog == printed
