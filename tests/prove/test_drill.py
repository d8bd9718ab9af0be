"""The small form of ``make drill``: the same two restores, after few movements."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RIGHT = (
    r"0 of \d+ tables \([1-9]\d* rows\) differ; 0 findings of the ledger's proof; "
    r"audit trail: whole; keys check --all: all open; "
)


def test_a_lost_cluster_comes_back_to_the_moment_and_out_of_a_dump() -> None:
    command = [sys.executable, "-m", "tests.prove.drill", "--movements", "12", "--dry"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    held = re.findall(rf"^held  ([a-z ]+): {RIGHT}", done.stdout, re.MULTILINE)
    assert held == ["restore to a moment", "portable restore"]
