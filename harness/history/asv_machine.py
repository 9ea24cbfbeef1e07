"""asv's machine file: what this machine is found to be, and whether the file is of this one."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from asv import util
from asv.machine import Machine, MachineCollection

from harness.errors import OptionError
from harness.watching import describe_gpu

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# A name stands for one machine: these do not change while it is the same one.
_IDENTITY: Final = ("arch", "cpu", "num_cpu", "gpu")


def telling_gpu() -> dict[str, str]:
    """The GPU's name and its driver's version, as far as they can be told."""
    gpu = describe_gpu() or {}
    found = {"gpu": gpu.get("name"), "driver": gpu.get("driver")}
    return {key: str(value) for key, value in found.items() if value}


def found_machine(name: str | None) -> dict[str, str]:
    """What asv, and the harness beside it, find of this machine; called ``name`` if given."""
    found = {key: str(value) for key, value in Machine.get_defaults().items()}
    return {**found, **({"machine": name} if name else {}), **telling_gpu()}


def settle_machine(results_dir: Path, name: str | None) -> dict[str, str]:
    """The machine's entry in asv's own file, made without a question where there is none.

    What was written there by hand, such as a better name of the processor, stays.

    Raises:
        OptionError: that entry, or the one beside the results, is of another machine.
    """
    found = found_machine(name)
    machine = found["machine"]
    beside = results_dir / machine / "machine.json"
    own = MachineCollection.get_machine_file_path()
    written = _read_all(own).get(machine)
    entries = {str(beside): _read(beside), f"{own} ({machine})": written}
    for where, entry in entries.items():
        _check_same(entry, found, where, machine)
    values = {**found, **(written or {}), **telling_gpu()}
    values.pop("version", None)
    MachineCollection.save(machine, values)
    return values


def _check_same(
    entry: Mapping[str, Any] | None, found: Mapping[str, str], where: str, machine: str
) -> None:
    """Check that ``entry`` is of the machine that was found; what it does not tell is no matter."""
    for key in _IDENTITY:
        told = (entry or {}).get(key)
        if told and key in found and str(told) != found[key]:
            what = f"is of another machine: its {key} is {told!r}, here it is {found[key]!r}"
            fix = f"give this machine a name of its own with --machine, other than {machine}"
            raise OptionError(what, where=where, fix=fix)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _read_all(path: str) -> dict[str, Any]:
    """Every entry of asv's own file; a damaged file is set aside, for asv would not go on."""
    try:
        return dict(util.load_json(path, MachineCollection.api_version))
    except FileNotFoundError:
        return {}
    except util.UserError:
        os.replace(path, f"{path}.damaged")  # noqa: PTH105  # asv's path is a text
        return {}


def machine_of_run() -> dict[str, str]:
    """The machine that the running asv command has taken, from its arguments and its own file."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--machine", "-m")
    known, _ = parser.parse_known_args(sys.argv[1:])
    name = known.machine or Machine.get_unique_machine_name()
    try:
        values = MachineCollection.load(name)
    except util.UserError:
        values = {"machine": name}
    return {key: str(value) for key, value in values.items() if key != "version"}
