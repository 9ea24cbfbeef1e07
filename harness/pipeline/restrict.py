"""A part of a pipeline, fed from outside with what the other components would have made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import OptionError
from harness.pipeline.declaration import Tensor
from harness.pipeline.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Collection


def restrict(pipeline: Pipeline, names: Collection[str]) -> Pipeline:
    """The components ``names`` of ``pipeline`` in its order; all of it where there are none.

    An output of another component that one of them reads becomes a free input, by the name of its
    source: ``component.output``.

    Raises:
        OptionError: there is no component of such a name.
    """
    for name in names:
        if name not in pipeline.components:
            what = f"{pipeline.name} has no component {name!r}"
            fix = f"name one of: {', '.join(pipeline.components)}"
            raise OptionError(what, where="--component", fix=fix)
    order = tuple(name for name in pipeline.order if name in names)
    if not names or order == pipeline.order:
        return pipeline
    components = {name: pipeline.components[name] for name in order}
    own = {f"{n}.{o}" for n, component in components.items() for o in component.outputs}
    inputs = {
        tensor.source: Tensor(dtype=tensor.dtype, shape=tensor.shape)
        for component in components.values()
        for tensor in component.inputs.values()
        if tensor.source is not None and tensor.source not in own
    }
    declaration = pipeline.declaration.model_copy(
        update={"components": components, "inputs": inputs}
    )
    return Pipeline(root=pipeline.root, declaration=declaration, order=order)
