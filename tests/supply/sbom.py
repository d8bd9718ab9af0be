"""The bill of materials: every library of requirements.txt with version and hashes, as CycloneDX.

``python -m tests.supply.sbom`` writes var/sbom.json, the same bytes for the same requirements.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PLACE = ROOT / "var" / "sbom.json"


def write(place: Path) -> int:
    """Write it, held against CycloneDX's own schema; return the number of libraries in it."""
    place.parent.mkdir(exist_ok=True)
    subprocess.run(command(place), cwd=ROOT, check=True)
    return len(json.loads(place.read_text("utf8"))["components"])


def command(place: Path) -> list[str]:
    """How cyclonedx-py is called."""
    argv = [sys.executable, "-W", "ignore::UserWarning"]  # that nothing says who needs whom
    argv += ["-m", "cyclonedx_py", "requirements", "requirements.txt"]
    # PEP 503's path without a host: where a library is fetched from is each machine's business.
    argv += ["--index-url", "simple", "--short-PURLs"]
    argv += ["--pyproject", "pyproject.toml", "--output-reproducible", "--output-file", str(place)]
    return argv


if __name__ == "__main__":
    sys.stdout.write(f"{write(PLACE)} libraries in {PLACE.relative_to(ROOT)}\n")
