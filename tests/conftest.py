"""What every test across rooms shares: the binary under test, how to run it, which sets are run in full.

OCELLI_BUILD     build folder (default build/dev)
OCELLI_TEST_ALL  set (not 0): full counts instead of fixed samples
OCELLI_GOLDENS   folder of golden models (default tests/parity/goldens)
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Models made by the tests lie on disk; nothing is to be looked up in the network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


class Result:
    """One finished run of the binary."""

    def __init__(self, process):
        self.code = process.returncode
        self.stdout = process.stdout
        self.stderr = process.stderr

    def json(self):
        """Stdout as one JSON value."""
        return json.loads(self.stdout)

    def last_json(self):
        """The last line of stdout as JSON."""
        return json.loads(self.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="session")
def repo_root():
    return ROOT


@pytest.fixture(scope="session")
def build_dir():
    return ROOT / os.environ.get("OCELLI_BUILD", "build/dev")  # an absolute OCELLI_BUILD stays as it is


@pytest.fixture(scope="session")
def ocelli_binary(build_dir):
    binary = build_dir / "bin" / "ocelli"
    assert binary.is_file(), f"{binary} is not there: run scripts/build dev, or set OCELLI_BUILD"
    return binary


@pytest.fixture(scope="session")
def run_ocelli(ocelli_binary):
    """run_ocelli(args, input=None, cwd=None, env=None, timeout=300, code=0): runs the binary and returns a Result.

    `args` are turned into strings. Fails the test, showing stderr, when the exit code is another than `code`
    (None: any). A negative code is the signal that ended it."""

    def run(args, input=None, cwd=None, env=None, timeout=300, code=0):
        process = subprocess.run(
            [str(ocelli_binary), *map(str, args)],
            input=input,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if code is not None and process.returncode != code:
            pytest.fail(
                f"ocelli {' '.join(map(str, args))}: exit code {process.returncode}, expected {code}\n"
                f"stdout: {process.stdout[-2000:]}\nstderr: {process.stderr[-4000:]}"
            )
        return Result(process)

    return run


@pytest.fixture(scope="session")
def full_counts():
    """True when full counts are asked for (scripts/test --all)."""
    return os.environ.get("OCELLI_TEST_ALL", "0") not in ("", "0")


@pytest.fixture(scope="session")
def goldens():
    return Path(os.environ.get("OCELLI_GOLDENS", ROOT / "tests" / "parity" / "goldens"))
