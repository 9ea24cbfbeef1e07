"""What happens in asv's processes, told to ``harness history run``: a line of JSON for each event.

The file is named by an environment variable; where that is not set, nobody listens.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, Final

VARIABLE: Final = "TRT_HARNESS_HISTORY_EVENTS"


def tell(kind: str, **facts: Any) -> None:  # noqa: ANN401
    """Tell that something of ``kind`` has happened; a file that cannot be written loses it."""
    path = os.environ.get(VARIABLE)
    if not path:
        return
    line = json.dumps({"event": kind, "unix_s": time.time(), **facts})
    try:
        with open(path, "a", encoding="utf-8") as file:  # noqa: PTH123  # appended in one write
            file.write(f"{line}\n")
    except OSError:
        return
