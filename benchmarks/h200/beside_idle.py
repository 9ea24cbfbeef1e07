"""Run a command beside a process that holds a CUDA context through PyTorch and does nothing."""

from __future__ import annotations

import subprocess
import sys


def main(command: list[str]) -> int:
    """Take a context with a little memory, run ``command``, and give its exit code."""
    import torch  # noqa: PLC0415  # where this runs, it is there

    held = torch.zeros(1 << 20, device="cuda")
    # So that libraries have loaded what they load at the first call.
    held.add_(1.0)
    torch.cuda.synchronize()
    with subprocess.Popen(command) as process:  # noqa: S603
        try:
            return process.wait()
        except KeyboardInterrupt:
            # The command had it as well, and ends by itself.
            return process.wait()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
