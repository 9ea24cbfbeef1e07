"""Put a timing cache where builds on this machine look for it, or get the one that they have left.

python benchmarks/h200/timing_cache.py put CACHE FILE
python benchmarks/h200/timing_cache.py get CACHE FILE
"""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.artifacts.cache import Cache
from harness.artifacts.keepsakes import keep
from harness.backends.gpu import has_gpu
from harness.backends.tensorrt.engines import tactics_path, timings_path
from harness.backends.tensorrt.library import TENSORRT, find_library


def main() -> None:
    """Copy in the direction that is asked for; what builds here have found is never replaced."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("direction", choices=("put", "get"))
    parser.add_argument("cache", type=Path, help="the cache's folder, as of harness --cache")
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    cache, library = Cache(given.cache), find_library(TENSORRT, has_gpu=has_gpu())
    names = given.file.with_name(f"{given.file.name}.tactics")
    for path, file in (
        (timings_path(cache, library), given.file),
        (tactics_path(cache, library), names),
    ):
        source, target = (path, file) if given.direction == "get" else (file, path)
        if source.exists() and not (given.direction == "put" and target.exists()):
            keep(target, source.read_bytes())


if __name__ == "__main__":
    main()
