"""A component's module on a device, in the precision that it can run in."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.backends.torch_cuda_device import running
from harness.pipeline.modules import as_tuple, build_module, example_inputs, import_torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.pipeline.declaration import Tensor
    from harness.pipeline.pipeline import Pipeline

HALF, FULL = "float16", "float32"


@dataclass(frozen=True)
class DeviceModule:
    """A module on its device, with casts where its precision is not that of its neighbours.

    ``inputs`` and ``outputs`` are torch's dtypes, and ``notes`` say what was done for it. Where
    ``cudnn`` is given, every run tells it first whether to try its algorithms (``is_tuned``): that
    is a switch of the whole process, which other sessions want otherwise.
    """

    call: Any
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    is_half: bool
    default_device: Any
    notes: tuple[str, ...]
    cudnn: Any = None
    is_tuned: bool = False

    def run(self, arguments: Sequence[Any]) -> tuple[Any, ...]:
        """Run it; whoever calls has entered inference mode. Casting to the same dtype is free."""
        if self.cudnn is not None:
            self.cudnn.benchmark = self.is_tuned
        given = [value.to(dtype) for value, dtype in zip(arguments, self.inputs, strict=True)]
        with self.default_device or nullcontext():
            made = as_tuple(self.call(*given))
        return tuple(value.to(dtype) for value, dtype in zip(made, self.outputs, strict=True))


def dtype_of(torch: Any, tensor: Tensor, *, is_half: bool) -> Any:  # noqa: ANN401
    """Torch's dtype of a declared tensor where fp32 is, or is not, replaced by fp16."""
    return getattr(torch, HALF if is_half and tensor.dtype == FULL else tensor.dtype)


def place_module(
    pipeline: Pipeline,
    name: str,
    device: Any,  # noqa: ANN401
    precision: str,
    *,
    is_compiled: bool,
) -> DeviceModule:
    """Make the component ``name`` on ``device``, and try it at the profile's min.

    In fp16 it is kept in fp32 where it cannot run in fp16, or where it makes integers of its
    floats: an index that was rounded from fp16 is another index.

    Raises:
        ModelError: it cannot be made, or it cannot run.
    """
    torch = import_torch(f"the component {name}")
    component = pipeline.components[name]
    module = build_module(pipeline, name).to(device)
    arguments = [a.to(device) for a in example_inputs(pipeline, name, pipeline.profile("min"))]
    notes: list[str] = []
    with running(name), torch.inference_mode():
        watch = _watch(torch, module, arguments, device)
    default_device = device if watch.makes_host_tensors else None
    if watch.makes_host_tensors:
        notes.append(f"what forward() makes without a device is made on {device}")

    def place(*, is_half: bool) -> DeviceModule:
        wanted = [dtype_of(torch, t, is_half=is_half) for t in component.inputs.values()]
        made = [dtype_of(torch, t, is_half=precision == "fp16") for t in component.outputs.values()]
        return DeviceModule(
            module, tuple(wanted), tuple(made), is_half, default_device, tuple(notes)
        )

    placed = place(is_half=False)
    if precision == "fp16" and watch.makes_integers:
        notes.append("kept in fp32: it makes integers of its floats")
        placed = place(is_half=False)
    elif precision == "fp16":
        # Not module.half(), which an attribute of the module may shadow.
        module = module.to(torch.float16)
        placed = place(is_half=True)
        problem = _try(torch, placed, arguments)
        if problem:
            notes.append(f"kept in fp32: {problem}")
            module = build_module(pipeline, name).to(device)
            placed = place(is_half=False)
    with running(name), torch.inference_mode():
        placed.run(arguments)
    if is_compiled:
        return replace(placed, call=torch.compile(module, mode="default", dynamic=False))
    return placed


def _try(torch: Any, placed: DeviceModule, arguments: Sequence[Any]) -> str:  # noqa: ANN401
    """Why it cannot run; empty if it can."""
    try:
        with torch.inference_mode():
            placed.run(arguments)
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever it is, fp32 may do without it
        return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ""


@dataclass
class _Watch:
    """What a module was seen to do: make tensors on the host, or integers of floats."""

    makes_host_tensors: bool = False
    makes_integers: bool = False


def _watch(torch: Any, module: Any, arguments: Sequence[Any], device: Any) -> _Watch:  # noqa: ANN401
    """Run ``module`` and see what it does; one that fails for its host tensors is run again."""
    seen = _Watch()

    class Mode(torch.overrides.TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(  # torch's own signature is untyped
            self,
            function: Any,  # noqa: ANN401
            _types: object,
            args: tuple[Any, ...] = (),
            kwargs: dict[str, Any] | None = None,
        ) -> Any:  # noqa: ANN401
            made = function(*args, **(kwargs or {}))
            if torch.is_tensor(made):
                given = [a for a in args if torch.is_tensor(a)]
                seen.makes_host_tensors |= made.device.type != device.type
                seen.makes_integers |= _is_integer(made) and any(
                    a.is_floating_point() for a in given
                )
            return made

    try:
        with Mode():
            module(*arguments)
    except Exception:
        if not seen.makes_host_tensors:
            raise
        with device, Mode():
            module(*arguments)
    return seen


def _is_integer(tensor: Any) -> bool:  # noqa: ANN401
    dtype = tensor.dtype
    is_number = not (dtype.is_floating_point or dtype.is_complex)
    return is_number and str(dtype) != "torch.bool"
