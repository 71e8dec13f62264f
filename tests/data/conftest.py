"""What the tests of data formats share."""

import pytest


@pytest.fixture
def convert(run_ocelli):
    def run(source, target, source_format, target_format, *more, code=0):
        return run_ocelli(
            ["data", "convert", source, target, "--from", source_format, "--to", target_format, *more], code=code
        )

    return run
