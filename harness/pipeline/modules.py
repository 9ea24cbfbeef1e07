"""Make a component's PyTorch module: factory, weights, submodule. The one place that does."""

from __future__ import annotations

import inspect
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.errors import DeclarationError, ModelError, missing_dependency
from harness.pipeline.code import load_function
from harness.pipeline.feeds import constant_inputs, synthetic_inputs
from harness.pipeline.fingerprint import hash_arrays
from harness.pipeline.signature import check_signature

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from harness.pipeline.declaration import Component
    from harness.pipeline.pipeline import Pipeline


_SEED = 0


def import_torch(purpose: str) -> Any:  # noqa: ANN401
    """The torch module.

    Raises:
        MissingDependencyError: torch is not installed.
    """
    try:
        import torch  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise missing_dependency("torch", "export", purpose) from error
    return torch


def build_module(pipeline: Pipeline, name: str) -> torch.nn.Module:
    """The module of the component ``name``, with its weights, in evaluation mode on the CPU.

    Raises:
        DeclarationError: there is no such factory, or it takes no such argument.
        ModelError: the factory raises, gives something else than a module, or the weights, the
            submodule or the parameters of forward() do not fit.
    """
    torch = import_torch(f"the component {name}")
    component = pipeline.components[name]
    if component.factory is None:
        what = f"{name} is an ONNX file, and PyTorch cannot run it"
        raise ModelError(what, where=str(pipeline.manifest), fix="use another backend")
    where = f"{pipeline.manifest}: components.{name}.factory"
    factory = load_function(pipeline, component.factory, key=f"components.{name}.factory")
    arguments_key = f"{pipeline.manifest}: components.{name}.arguments"
    check_arguments(inspect.signature(factory), component, arguments_key)
    try:
        module = _call_seeded(factory, component)
    except Exception as error:
        what = f"{component.factory} raised {type(error).__name__}: {error}"
        raise ModelError(what, where=where, fix="mend the factory") from error
    if not isinstance(module, torch.nn.Module):
        what = f"{component.factory} returned {type(module).__name__}"
        raise ModelError(what, where=where, fix="return a torch.nn.Module")
    if component.weights is not None:
        _load_weights(module, component, pipeline.root / component.weights)
    if component.submodule:
        module = _select(module, component.submodule, where)
    module.eval()
    check_signature(pipeline, name, module)
    return module  # type: ignore[no-any-return]  # isinstance() has checked it


def _call_seeded(factory: Any, component: Component) -> Any:  # noqa: ANN401
    """Call ``factory`` with every generator at a fixed seed, and leave the caller's as they were.

    A component is made in more than one process; without weights of its own it must come out the
    same in each.
    """
    torch = import_torch("making a component")
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED)
            random.seed(_SEED)
            np.random.seed(_SEED)  # noqa: NPY002
            return factory(**component.arguments)
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002


def hash_weights(module: torch.nn.Module) -> str:
    """The hash of a module's parameters and buffers."""
    return hash_arrays({k: v.detach().cpu().numpy() for k, v in module.state_dict().items()})


def check_arguments(signature: inspect.Signature, component: Component, where: str) -> None:
    """Check that a factory of ``signature`` takes the component's arguments.

    Raises:
        DeclarationError: it does not; the message names its parameters.
    """
    try:
        signature.bind(**component.arguments)
    except TypeError as error:
        what = f"{component.factory} cannot be called so: {error}"
        fix = f"its parameters are: {', '.join(signature.parameters) or 'none'}"
        raise DeclarationError(what, where=where, fix=fix) from error


def _select(module: torch.nn.Module, names: tuple[str, ...], where: str) -> torch.nn.Module:
    children = dict(module.named_children())
    found = [name for name in names if name in children]
    if len(found) == 1:
        return children[found[0]]
    what = (
        f"the model has both {' and '.join(found)}"
        if found
        else f"the model has no submodule called {' or '.join(names)}"
    )
    fix = f"name one in 'submodule'; its submodules are: {', '.join(children) or 'none'}"
    raise ModelError(what, where=where, fix=fix)


def _load_weights(module: torch.nn.Module, component: Component, path: Path) -> None:
    state = _read_state(path)
    expected = set(module.state_dict())
    state = {_rename(key, expected, component.submodule): value for key, value in state.items()}
    missing, extra = sorted(expected - set(state)), sorted(set(state) - expected)
    if missing or extra:
        what = f"the weights do not fit the model: {len(missing)} missing, {len(extra)} unknown"
        fix = f"first missing: {(missing or ['-'])[0]}, first unknown: {(extra or ['-'])[0]}"
        raise ModelError(what, where=str(path), fix=fix)
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        what = f"the weights do not fit the model: {error}"
        raise ModelError(what, where=str(path), fix="give the weights of this model") from error


def _rename(key: str, expected: set[str], aliases: tuple[str, ...]) -> str:
    """``key``, or its twin under another of the submodule's names if only that one is expected."""
    if key in expected:
        return key
    head, _, tail = key.partition(".")
    if head in aliases:
        for alias in aliases:
            if f"{alias}.{tail}" in expected:
                return f"{alias}.{tail}"
    return key


def _read_state(path: Path) -> dict[str, torch.Tensor]:
    torch = import_torch("reading weights")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file  # noqa: PLC0415

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except ModuleNotFoundError as error:
        raise missing_dependency("safetensors", "export", "reading weights") from error
    except Exception as error:
        what = f"the weights cannot be read: {type(error).__name__}: {error}"
        fix = "give a .safetensors file or a checkpoint of tensors"
        raise ModelError(what, where=str(path), fix=fix) from error
    nested = state.get("state_dict", state) if isinstance(state, dict) else None
    if not isinstance(nested, dict) or not all(torch.is_tensor(v) for v in nested.values()):
        what = "the checkpoint holds no dictionary of tensors"
        raise ModelError(what, where=str(path), fix="save the model's state_dict()")
    return nested


@dataclass(frozen=True)
class ModuleRun:
    """What a module took and gave, in the declared order."""

    arguments: tuple[torch.Tensor, ...]
    outputs: tuple[torch.Tensor, ...]


def check_module(
    pipeline: Pipeline, name: str, module: torch.nn.Module, sizes: dict[str, int]
) -> ModuleRun:
    """Run ``module`` on example inputs of ``sizes`` and check its outputs.

    Raises:
        ModelError: forward() raises, or an output's count, dtype or shape is not as declared.
    """
    torch = import_torch(f"the component {name}")
    component = pipeline.components[name]
    where = f"{pipeline.manifest}: components.{name}"
    arguments = example_inputs(pipeline, name, sizes)
    try:
        with torch.inference_mode():
            result = module(*arguments)
    except Exception as error:
        given = zip(component.inputs, arguments, strict=True)
        shapes = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in given)
        what = f"forward() raised {type(error).__name__}: {error} (given {shapes})"
        fix = "declare its inputs in forward()'s order, with the shapes that it takes"
        raise ModelError(what, where=where, fix=fix) from error
    outputs = as_tuple(result)
    if len(outputs) != len(component.outputs):
        what = f"forward() gives {len(outputs)} outputs, {len(component.outputs)} are declared"
        raise ModelError(what, where=f"{where}.outputs", fix="declare them all, in order")
    for (output, tensor), value in zip(component.outputs.items(), outputs, strict=True):
        shape, dtype = tuple(value.shape), str(value.dtype).removeprefix("torch.")
        expected = tensor.concrete_shape(sizes)
        if (shape, dtype) != (expected, tensor.dtype):
            what = (
                f"forward() gives {dtype} {list(shape)}, "
                f"declared is {tensor.dtype} {list(expected)} at {sizes}"
            )
            raise ModelError(what, where=f"{where}.outputs.{output}", fix="make the two the same")
    return ModuleRun(arguments, outputs)


def example_inputs(
    pipeline: Pipeline, name: str, sizes: dict[str, int]
) -> tuple[torch.Tensor, ...]:
    """Inputs for the component ``name`` on its own, always the same ones for the same sizes.

    Free inputs come from the pipeline's generator and constants from the declaration. What other
    components would feed is standard normal noise (zeros for integers, most often indices whose
    range is not known here): enough to compare two runs of one module, never to judge accuracy.
    """
    torch = import_torch("example inputs")
    component = pipeline.components[name]
    free = synthetic_inputs(pipeline, sizes, seed=0)
    constants = constant_inputs(component, sizes)
    generator = torch.Generator().manual_seed(0)
    values = []
    for input_name, tensor in component.inputs.items():
        shape, dtype = tensor.concrete_shape(sizes), getattr(torch, tensor.dtype)
        if input_name in constants:
            value = torch.from_numpy(constants[input_name])
        elif tensor.source in free:
            value = torch.from_numpy(free[tensor.source])
        elif tensor.dtype == "bool":
            value = torch.rand(shape, generator=generator) > 0.5  # noqa: PLR2004
        elif dtype.is_floating_point:
            value = torch.randn(shape, generator=generator).to(dtype)
        else:
            value = torch.zeros(shape, dtype=dtype)
        values.append(value)
    return tuple(values)


def as_tuple(result: Any) -> tuple[torch.Tensor, ...]:  # noqa: ANN401
    """The outputs of a forward() that gives one tensor or several."""
    return tuple(result) if isinstance(result, (tuple, list)) else (result,)
