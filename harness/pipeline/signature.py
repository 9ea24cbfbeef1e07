"""Hold a component's declared inputs against the parameters of its forward()."""

from __future__ import annotations

import difflib
import inspect
from typing import TYPE_CHECKING, Any, Final

from harness.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.pipeline.pipeline import Pipeline

_BY_POSITION: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)


def check_signature(pipeline: Pipeline, name: str, module: Any) -> None:  # noqa: ANN401
    """Check that forward() takes as many inputs as are declared, in the declared order.

    Inputs are given by position, so another name is no mistake: only a name that is forward()'s
    own in another place is. A forward() of any arguments (``*args``, ``**kwargs``) tells nothing.

    Raises:
        ModelError: naming the input that is too many, missing or in another's place.
    """
    parameters = _parameters(module)
    if parameters is None:
        return
    declared = list(pipeline.components[name].inputs)
    taken = [parameter.name for parameter in parameters]
    where = f"{pipeline.manifest}: components.{name}.inputs"
    told = f"forward() takes {', '.join(taken) or 'nothing'}"
    stated = f"declared are {', '.join(declared)}"
    if len(declared) > len(taken):
        extra = [i for i in declared if i not in taken]
        is_clear = len(extra) == len(declared) - len(taken)
        what = f"{told}, not {', '.join(extra)}" if is_clear else f"{told}; {stated}"
        raise ModelError(what, where=where, fix="remove it here, or let forward() take it")
    needed = [p.name for p in parameters[len(declared) :] if p.default is inspect.Parameter.empty]
    if needed:
        what = f"{told}; {stated}"
        fix = "declare as many as it takes, or give the rest a default"
        raise ModelError(what, where=where, fix=fix)
    for given, parameter in zip(declared, taken, strict=False):
        if given != parameter and given in taken:
            what = f"{told}, in this order; {given} is declared where it takes {parameter}"
            raise ModelError(what, where=where, fix="declare them in forward()'s order")


def misspelt_inputs(pipeline: Pipeline, name: str, module: Any) -> list[str]:  # noqa: ANN401
    """A sentence for each declared input whose name is almost that of its parameter."""
    parameters = _parameters(module) or ()
    declared = list(pipeline.components[name].inputs)
    return [
        f"{pipeline.manifest}: components.{name}.inputs.{given}: forward() calls it "
        f"{parameter.name!r}; if that is what is meant, give it that name"
        for given, parameter in zip(declared, parameters, strict=False)
        if given != parameter.name and difflib.get_close_matches(given, [parameter.name], 1, 0.8)
    ]


def _parameters(module: Any) -> Sequence[inspect.Parameter] | None:  # noqa: ANN401
    """What forward() takes by position; None where it takes anything, or does not tell."""
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (AttributeError, TypeError, ValueError):
        return None
    if any(p.kind in {p.VAR_POSITIONAL, p.VAR_KEYWORD} for p in parameters):
        return None
    return [parameter for parameter in parameters if parameter.kind in _BY_POSITION]
