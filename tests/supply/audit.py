"""Known holes in what runs in production, by pip-audit; no answer is not "none".

``python -m tests.supply.audit [feed [requirements]]`` ends with 0 only if a feed that knows holes
was asked about every library and named none; with 1 if it named some; with 2 if nothing is known.
The feed is OSV or a mirror that speaks its interface.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

FEED = "https://api.osv.dev/v1/query"
HOLED = "pyyaml==5.3"
"""CVE-2020-14343, mended in 5.4: a feed that has nothing to say of it knows nothing."""

REQUIREMENTS = Path(__file__).parent.parent.parent / "requirements.txt"


class NothingAudited(Exception):
    """Whether there are holes is unknown; the message says why."""


def holes(requirements: Path, feed: str) -> dict[str, list[str]]:
    """Each library of the file -> the numbers of its known holes. NothingAudited."""
    with tempfile.TemporaryDirectory() as fresh:  # an old answer is no answer
        argv = [sys.executable, "-m", "pip_audit", "--requirement", str(requirements)]
        argv += ["--disable-pip", "--no-deps", "--vulnerability-service", "osv", "--osv-url", feed]
        argv += ["--format", "json", "--progress-spinner", "off", "--cache-dir", fresh]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    try:
        said = json.loads(done.stdout)["dependencies"]
    except ValueError:
        why = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise NothingAudited(f"{feed} could not be asked. {why[:200]}") from None
    if skipped := [one["name"] for one in said if "skip_reason" in one]:
        raise NothingAudited(f"{', '.join(skipped)} could not be asked about")
    if not said:
        raise NothingAudited(f"{requirements.name} names no library")
    return {
        f"{one['name']}=={one['version']}": [hole["id"] for hole in one["vulns"]] for one in said
    }


def audit(requirements: Path, feed: str) -> dict[str, list[str]]:
    """The same, by a feed that was seen to know holes."""
    with tempfile.TemporaryDirectory() as place:
        probe = Path(place) / "holed.txt"
        probe.write_text(f"{HOLED}\n", "utf8")
        if not holes(probe, feed)[HOLED]:
            raise NothingAudited(f"{feed} knows nothing: not even the holes of {HOLED}")
    return holes(requirements, feed)


def main(feed: str = FEED, requirements: str = str(REQUIREMENTS)) -> int:
    """Say what was found; returns the exit status."""
    try:
        found = audit(Path(requirements), feed)
    except NothingAudited as why:
        sys.stderr.write(f"Nothing was audited, so nothing is known: {why}\n")
        return 2
    for library, numbers in found.items():
        if numbers:
            sys.stderr.write(f"{library}: {', '.join(numbers)}\n")
    sys.stdout.write(f"{sum(map(len, found.values()))} known holes in {len(found)} libraries\n")
    return 1 if any(found.values()) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
