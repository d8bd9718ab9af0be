"""A short name for exactly these figures: what a patient agreed to can be recognised, and nothing
else passes for it.
"""

import hashlib
import json
from typing import Any


def digest(*facts: Any) -> str:
    """SHA-256 in hexadecimal over the facts in their one canonical JSON form."""
    return hashlib.sha256(
        json.dumps(facts, sort_keys=True, ensure_ascii=False, default=str).encode()
    ).hexdigest()
