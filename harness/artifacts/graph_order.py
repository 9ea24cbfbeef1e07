"""The order of an ONNX graph's nodes, and those that nothing needs."""

from __future__ import annotations

import graphlib
from typing import Any


def sort_nodes(model: Any) -> None:  # noqa: ANN401
    """Put every node after those that feed it, or that feed a branch or loop in it."""
    nodes = list(model.graph.node)
    producers = {output: index for index, node in enumerate(nodes) for output in node.output}
    sorter: graphlib.TopologicalSorter[int] = graphlib.TopologicalSorter()
    for index, node in enumerate(nodes):
        names = {*node.input, *_captured(node)}
        sorter.add(index, *sorted(producers[name] for name in names if name in producers))
    ordered = [nodes[index] for index in sorter.static_order()]
    copies = [type(node).FromString(node.SerializeToString()) for node in ordered]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def drop_unused(model: Any) -> None:  # noqa: ANN401
    """Remove the nodes whose outputs nothing takes, branches and loops included."""
    graph = model.graph
    while True:
        used = {name for node in graph.node for name in node.input}
        used |= {value.name for value in graph.output} | captured_by(graph)
        unused = [n for n in graph.node if not any(name in used for name in n.output)]
        if not unused:
            break
        for node in unused:
            graph.node.remove(node)


def captured_by(graph: Any) -> set[str]:  # noqa: ANN401
    """What the branches and loops of ``graph`` take from it."""
    return set().union(*(_captured(node) for node in graph.node))


def _captured(node: Any) -> set[str]:  # noqa: ANN401
    inner = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    names = {name for graph in inner for child in graph.node for name in child.input}
    names |= {value.name for graph in inner for value in graph.output}
    return names.union(*(captured_by(graph) for graph in inner))
