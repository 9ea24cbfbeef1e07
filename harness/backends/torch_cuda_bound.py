"""The tensors of a pipeline on a device at one size, and the graphs captured over them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from harness.backends.torch_cuda_device import running
from harness.backends.torch_cuda_module import dtype_of
from harness.pipeline.feeds import constant_inputs
from harness.pipeline.modules import import_torch
from harness.pipeline.pipeline import WHOLE_PIPELINE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from harness.backends.torch_cuda_device import CudaDevice, Graph
    from harness.backends.torch_cuda_module import DeviceModule
    from harness.pipeline.pipeline import Pipeline

# Libraries choose kernels and allocate workspaces in the first runs, which no graph can hold.
_WARMUP_RUNS: Final = 3


def to_tensor(torch: Any, array: NDArray[Any], dtype: Any) -> Any:  # noqa: ANN401
    """A tensor of the host that shares no memory with ``array``."""
    return torch.from_numpy(array.copy()).to(dtype)


class Bound:
    """What is bound at one size: static inputs, and what eager launches and graphs put out.

    ``latest`` holds every output as it was last computed. The graphs of the components read the
    tensors that the graphs before them write; the graph of the whole pipeline has its own.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        modules: Mapping[str, DeviceModule],
        device: CudaDevice,
        sizes: Mapping[str, int],
        inputs: Mapping[str, NDArray[Any]],
        *,
        has_graphs: bool,
    ) -> None:
        self._torch = import_torch("the backend torch-cuda")
        self._pipeline = pipeline
        self._modules = modules
        self._device = device
        self._sizes = dict(sizes)
        self._host: dict[str, Any] = {}
        self._static: dict[str, Any] = {}
        self._is_stale = False
        self.latest: dict[str, Any] = {}
        self._allocate(inputs)
        self._eager: dict[str, Any] = dict(self._static)
        self._graphs: dict[str, Graph] = {}
        if has_graphs:
            self._capture()

    def _allocate(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        """Upload inputs and constants, in the dtype that they are used in."""
        with running(WHOLE_PIPELINE):
            for name, array in inputs.items():
                tensor = to_tensor(self._torch, array, self._free_dtype(name))
                self._host[name] = self._device.pin(tensor)
                # Not the same tensor, even where the device is the host.
                self._static[name] = self._torch.empty_like(tensor, device=self._device.device)
            self.copy_inputs()
            for name, component in self._pipeline.components.items():
                dtypes = dict(zip(component.inputs, self._modules[name].inputs, strict=True))
                for key, array in constant_inputs(component, self._sizes).items():
                    tensor = to_tensor(self._torch, array, dtypes[key])
                    self._static[f"{name}.{key}"] = tensor.to(self._device.device)
            self._device.synchronize()

    def _free_dtype(self, name: str) -> Any:  # noqa: ANN401
        """That of a free input: fp32 if any component that takes it is kept in fp32."""
        users = [
            self._modules[user].is_half
            for user, component in self._pipeline.components.items()
            if any(tensor.source == name for tensor in component.inputs.values())
        ]
        return dtype_of(self._torch, self._pipeline.declaration.inputs[name], is_half=all(users))

    def fits(self, sizes: Mapping[str, int], inputs: Mapping[str, NDArray[Any]]) -> bool:
        """Whether ``inputs`` can be copied into what is bound."""
        shapes = {name: tuple(tensor.shape) for name, tensor in self._host.items()}
        return dict(sizes) == self._sizes and shapes == {n: a.shape for n, a in inputs.items()}

    def update(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        """Copy other inputs of the same sizes into the bound tensors."""
        for name, array in inputs.items():
            self._host[name].copy_(self._torch.from_numpy(array.copy()))
        self.copy_inputs()
        self._device.synchronize()

    def copy_inputs(self) -> None:
        """Queue the copies of the free inputs to the device; both ends are of one dtype."""
        for name, tensor in self._host.items():
            self._static[name].copy_(tensor, non_blocking=True)

    def copy_back(self, *, is_graph: bool) -> Callable[[], None]:
        """What queues the copies of the final outputs to the host."""
        return self._copy_of(self._captured() if is_graph else self._eager)

    def round_trip(self, *, is_graph: bool) -> Callable[[], None]:
        """What queues the copies to the device, the whole pipeline, and the copies back."""
        if is_graph:
            # It has outputs of its own.
            graph = self._graphs[WHOLE_PIPELINE]
            whole, copy_back = graph.replay, self._copy_of(graph.outputs)
        else:
            self._launch_all_eager()
            whole, copy_back = self._launch_all_eager, self._copy_of(self._eager)

        def queue() -> None:
            self.copy_inputs()
            whole()
            copy_back()

        return queue

    def _copy_of(self, source: Mapping[str, Any]) -> Callable[[], None]:
        keys = [f"{component}.{output}" for component, output in self._pipeline.final_outputs]
        host = {
            key: self._device.pin(self._torch.empty(source[key].shape, dtype=source[key].dtype))
            for key in keys
        }

        def copy() -> None:
            for key, tensor in host.items():
                tensor.copy_(source[key], non_blocking=True)

        return copy

    def _run(self, component: str, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Queue one component on ``tensors``; gives its outputs."""
        declared = self._pipeline.components[component]
        arguments = [
            tensors[tensor.source or f"{component}.{name}"]
            for name, tensor in declared.inputs.items()
        ]
        with running(component), self._torch.inference_mode():
            made = self._modules[component].run(arguments)
        names = (f"{component}.{output}" for output in declared.outputs)
        return dict(zip(names, made, strict=True))

    def _run_all(self) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for component in self._pipeline.order:
            made |= self._run(component, {**self._static, **made})
        return made

    def _capture(self) -> None:
        for _ in range(_WARMUP_RUNS):
            self._run_all()
            self._device.synchronize()
        tensors = dict(self._static)
        for component in self._pipeline.order:
            with running(component):
                graph = self._device.capture(partial(self._run, component, tensors))
            self._graphs[component] = graph
            tensors |= graph.outputs
        with running(WHOLE_PIPELINE):
            self._graphs[WHOLE_PIPELINE] = self._device.capture(self._run_all)
        self._device.synchronize()

    def _captured(self) -> dict[str, Any]:
        """The outputs of the components' own graphs."""
        made: dict[str, Any] = {}
        for component in self._pipeline.order:
            made |= self._graphs[component].outputs
        return made

    def launch(self, component: str) -> None:
        """Queue one component."""
        if not self._graphs:
            self._launch_eager(component)
            self.latest = self._eager
            return
        if self._is_stale:
            # The pipeline's graph ran last: what feeds this component is not in its graph's inputs.
            for earlier in self._pipeline.order[: self._pipeline.order.index(component)]:
                self._replay(earlier)
            self._is_stale = False
        self._replay(component)

    def _replay(self, name: str) -> None:
        with running(name):
            self._graphs[name].replay()
        self.latest = {**self.latest, **self._graphs[name].outputs}

    def _launch_eager(self, component: str) -> None:
        self._eager.update(self._run(component, self._eager))

    def _launch_all_eager(self) -> None:
        for component in self._pipeline.order:
            self._launch_eager(component)

    def launch_pipeline(self) -> None:
        """Queue every component."""
        if self._graphs:
            self._replay(WHOLE_PIPELINE)
            self._is_stale = True
        else:
            self._launch_all_eager()
            self.latest = self._eager

    def targets(
        self, *, is_graph: bool
    ) -> tuple[dict[str, Callable[[], None]], Callable[[], None]]:
        """What only queues: each component, and the whole pipeline."""
        if is_graph:
            targets = {name: self._graphs[name].replay for name in self._pipeline.order}
            return targets, self._graphs[WHOLE_PIPELINE].replay
        self._launch_all_eager()

        def launcher(component: str) -> Callable[[], None]:
            return lambda: self._launch_eager(component)

        return {name: launcher(name) for name in self._pipeline.order}, self._launch_all_eager
