"""How ONNX Runtime is set up, wherever it runs a graph that is timed or looked into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CPU = ("CPUExecutionProvider",)


def open_graph(
    path: Path,
    *,
    threads: int,
    profile_prefix: Path | None = None,
    providers: Sequence[Any] = CPU,
) -> Any:  # noqa: ANN401
    """An ``InferenceSession`` of ``path``; it writes a profile of its runs where a prefix is given.

    Raises:
        ContractError: ONNX Runtime cannot load it.
    """
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # It would print in colours what the error says that it raises.
    options.log_severity_level = 4
    # Each session has a pool of its own: one that spins on after its work would take the cores
    # from the next component, and from a backend that is measured in turn with this one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if profile_prefix is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile_prefix)
    try:
        return onnxruntime.InferenceSession(path, options, providers=list(providers))
    except Exception as error:
        what = f"ONNX Runtime cannot load it: {error}"
        raise ContractError(what, where=str(path), fix="export it again") from error
