"""Call a pipeline's generators and check what they give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from harness.errors import (
    InputDataError,
    MissingDependencyError,
    OptionError,
    missing_dependency,
)
from harness.pipeline.code import load_function

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from harness.pipeline.declaration import Component
    from harness.pipeline.pipeline import Pipeline

# Optional packages that generators import, and the extra that brings each.
_EXTRAS = {"librosa": "f0", "torch": "export"}
# No run may be fed what calibrated it. They end the seeds: numpy takes no notice of zeros there,
# so that (1, 0, 0) would be the seed 1.
_CALIBRATION_STREAM = 1
_ACCURACY_STREAM = 2
_SWEEP_STREAM = 3


def check_seed(seed: int) -> None:
    """Check that ``seed`` is one word of numpy's: a longer one could be that of another stream.

    Raises:
        OptionError: it is not.
    """
    if not 0 <= seed < 2**32:
        raise OptionError(f"the seed is {seed}", where="--seed", fix="give 0 to 4294967295")


def synthetic_inputs(
    pipeline: Pipeline, sizes: Mapping[str, int], *, seed: int | tuple[int, ...]
) -> dict[str, NDArray[Any]]:
    """The free inputs that the pipeline's generator makes at ``sizes``, the same for one seed.

    Raises:
        InputDataError: the generator raises, or what it gives is not as declared.
    """
    reference = pipeline.declaration.generators.synthetic
    generator = load_function(pipeline, reference, key="generators.synthetic")
    return _generate(
        pipeline, reference, sizes, generator, (dict(sizes), np.random.default_rng(seed))
    )


def accuracy_inputs(
    pipeline: Pipeline, sizes: Mapping[str, int], *, seed: int, count: int
) -> list[dict[str, NDArray[Any]]]:
    """``count`` synthetic inputs to compare outputs on; the first is the one of ``seed`` itself.

    Raises:
        InputDataError: as :func:`synthetic_inputs`.
    """
    first = synthetic_inputs(pipeline, sizes, seed=seed)
    others = [(seed, index, _ACCURACY_STREAM) for index in range(1, count)]
    return [first, *(synthetic_inputs(pipeline, sizes, seed=other) for other in others)]


def sweep_inputs(
    pipeline: Pipeline, sizes: Mapping[str, int], *, count: int
) -> list[dict[str, NDArray[Any]]]:
    """``count`` synthetic inputs to choose settings on: neither a run's nor a calibration's.

    Raises:
        InputDataError: as :func:`synthetic_inputs`.
    """
    seeds = [(0, index, _SWEEP_STREAM) for index in range(count)]
    return [synthetic_inputs(pipeline, sizes, seed=seed) for seed in seeds]


def calibration_inputs(
    pipeline: Pipeline, sizes: Mapping[str, int], *, seed: int, index: int
) -> dict[str, NDArray[Any]]:
    """The free inputs of sample ``index`` of a calibration set: diverse, and unlike any run's.

    They come from the pipeline's generator for calibration, or from its synthetic one.

    Raises:
        InputDataError: the generator raises, or what it gives is not as declared.
    """
    own_seed = (seed, index, _CALIBRATION_STREAM)
    reference = pipeline.declaration.generators.calibration
    if reference is None:
        return synthetic_inputs(pipeline, sizes, seed=own_seed)
    generator = load_function(pipeline, reference, key="generators.calibration")
    arguments = (dict(sizes), np.random.default_rng(own_seed), index)
    return _generate(pipeline, reference, sizes, generator, arguments)


def recording_inputs(
    pipeline: Pipeline, audio: NDArray[np.float32], sizes: Mapping[str, int]
) -> dict[str, NDArray[Any]]:
    """The free inputs for a recording: ``audio`` float32 [samples] at the pipeline's rate.

    Raises:
        InputDataError: the pipeline takes no recordings, or what its generator gives is not as
            declared.
    """
    reference = pipeline.declaration.generators.recording
    if reference is None:
        what = f"{pipeline.name} takes no recordings"
        fix = "give it generators.recording, or leave --audio out"
        raise InputDataError(what, where=str(pipeline.manifest), fix=fix)
    generator = load_function(pipeline, reference, key="generators.recording")
    return _generate(pipeline, reference, sizes, generator, (audio, dict(sizes)))


def constant_inputs(component: Component, sizes: Mapping[str, int]) -> dict[str, NDArray[Any]]:
    """The inputs of ``component`` that are declared with a ``value``, in their full shape."""
    return {
        name: np.full(tensor.concrete_shape(sizes), tensor.value, dtype=tensor.dtype)
        for name, tensor in component.inputs.items()
        if tensor.value is not None
    }


def component_feed(
    component: Component,
    sizes: Mapping[str, int],
    stacks: Mapping[str, NDArray[Any]],
    index: int,
) -> dict[str, NDArray[Any]]:
    """What ``component`` is fed for row ``index`` of ``stacks``, [inputs, ...] by source."""
    inputs = constant_inputs(component, sizes)
    for name, tensor in component.inputs.items():
        if tensor.source is not None:
            # A row of scalars is no array otherwise.
            inputs[name] = np.asarray(stacks[tensor.source][index])
    return inputs


def _generate(
    pipeline: Pipeline,
    reference: str,
    sizes: Mapping[str, int],
    generator: Any,  # noqa: ANN401
    arguments: tuple[Any, ...],
) -> dict[str, NDArray[Any]]:
    where = str(pipeline.root / reference)
    try:
        arrays = generator(*arguments)
    except MissingDependencyError:
        raise
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package in _EXTRAS:
            raise missing_dependency(package, _EXTRAS[package], where) from error
        what, fix = f"no module named {error.name!r}", f"install {error.name}"
        raise InputDataError(what, where=where, fix=fix) from error
    except Exception as error:
        what = f"the generator raised {type(error).__name__}: {error}"
        raise InputDataError(what, where=where, fix="mend the generator") from error
    _check(pipeline, arrays, sizes, where)
    # Not ascontiguousarray(), which makes a vector of a scalar.
    return {name: np.asarray(arrays[name], order="C") for name in pipeline.declaration.inputs}


def _check(
    pipeline: Pipeline,
    arrays: Any,  # noqa: ANN401
    sizes: Mapping[str, int],
    where: str,
) -> None:
    declared = pipeline.declaration.inputs
    if not isinstance(arrays, dict) or set(arrays) != set(declared):
        given = ", ".join(map(str, arrays)) if isinstance(arrays, dict) else type(arrays).__name__
        what = f"the generator gave {given}; declared are {', '.join(declared)}"
        raise InputDataError(what, where=where, fix="return a dictionary of exactly these")
    for name, tensor in declared.items():
        value = np.asarray(arrays[name])
        expected = tensor.concrete_shape(sizes)
        if (value.dtype.name, value.shape) != (tensor.dtype, expected):
            what = (
                f"{name} is {value.dtype.name} {list(value.shape)}, "
                f"declared is {tensor.dtype} {list(expected)}"
            )
            raise InputDataError(what, where=where, fix="make the two the same")
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise InputDataError(f"{name} holds NaN or infinity", where=where, fix="mend it")
