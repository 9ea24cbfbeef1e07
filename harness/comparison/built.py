"""How the engines of two sides were made: of which graphs, by which options, how often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.types import Record

# They tell how an engine is looked into, not how it is made.
_OF_LOOKING: Final = frozenset({"layer_times", "nvtx"})


def build_options(details: Mapping[str, Any]) -> dict[str, Any]:
    """The options in an engine's ``details``, by name, without those that are not set.

    So an option that is new in the harness, and not used, makes no difference to older records.
    """
    given: Mapping[str, Any] = details.get("options") or {}
    return {name: given[name] for name in sorted(given) if _is_set(name, given[name])}


def _is_set(name: str, value: Any) -> bool:  # noqa: ANN401
    # A level of 0 is set.
    is_none = value is None or value is False or (hasattr(value, "__len__") and not len(value))
    return name not in _OF_LOOKING and not is_none


def different_options(base: Record, head: Record) -> Iterator[str]:
    """In words, which engines of both were built by other options, and which options these are."""
    sides = [_by_engine(record) for record in (base, head)]
    for engine in (one for one in sides[0] if one in sides[1]):
        a, b = (side[engine] for side in sides)
        names = sorted(name for name in {*a, *b} if a.get(name) != b.get(name))
        if names:
            told = ", ".join(f"{name} {_told(a, name)} / {_told(b, name)}" for name in names)
            component, backend, precision, route = engine
            by = f" by {route}" if route else ""
            yield f"{component}, {backend} {precision}{by}: {told}"


def _by_engine(record: Record) -> dict[tuple[str, str, str, str], dict[str, Any]]:
    """Of several builds of one engine, the first."""
    found: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    for one in record.engines:
        name = (one.component, one.backend, one.precision, one.route)
        given = {"file": file} if (file := one.details.get("given")) else {}
        found.setdefault(name, {**build_options(one.details), **given})
    return found


def _told(options: Mapping[str, Any], name: str) -> str:
    return str(options[name]) if name in options else "not set"


def same_graphs(base: Record, head: Record) -> tuple[str, ...]:
    """The components of which both sides run the very same graphs, at every precision."""
    found = [
        {
            component: {
                (a.precision, a.content_hash) for a in record.artifacts if a.component == component
            }
            for component in dict.fromkeys(a.component for a in record.artifacts)
        }
        for record in (base, head)
    ]
    return tuple(name for name, graphs in found[0].items() if found[1].get(name) == graphs)


def single_builds(base: Record, head: Record) -> tuple[str, ...]:
    """The components of an A/B whose graphs differ, and of which each side has one built engine.

    Two builds of one graph may differ by more than two commits do.
    """
    if head.replication is not None and head.replication.builds > 1:
        return ()
    built = {
        engine.component
        for record in (base, head)
        for engine in record.engines
        if engine.build_s is not None
    }
    known = {artifact.component for artifact in (*base.artifacts, *head.artifacts)}
    return tuple(sorted(built & known - set(same_graphs(base, head))))
