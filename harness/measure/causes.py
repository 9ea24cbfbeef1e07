"""Why a series ended that is not known well enough: part of a verdict's reason.

Apart from the sampler, so that an interpreter without its statistics can measure as well.
"""

from __future__ import annotations

OUT_OF_TIME, OUT_OF_SAMPLES = "time", "samples"
INTERRUPTED, NOT_STEADY = "interrupted", "not steady"
# Of a series that nothing waits for, when all the others have enough samples.
NOT_WATCHED = "not watched"
