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
_GPU, _DRIVER = "gpu", "driver"
_IDENTITY: Final = ("arch", "cpu", "num_cpu", _GPU)


def telling_gpu() -> dict[str, str]:
    """The GPU's name and its driver's version, as far as they can be told."""
    gpu = describe_gpu() or {}
    found = {_GPU: gpu.get("name"), _DRIVER: gpu.get("driver")}
    return {key: str(value) for key, value in found.items() if value}


def found_machine(name: str | None) -> dict[str, str]:
    """What asv, and the harness beside it, find of this machine; called ``name`` if given."""
    found = {key: str(value) for key, value in Machine.get_defaults().items()}
    return {**found, **({"machine": name} if name else {}), **telling_gpu()}


def settle_machine(results_dir: Path, name: str | None) -> dict[str, str]:
    """The machine's entry in asv's own file, made without a question where there is none.

    What was written there by hand, such as a better name of the system, stays.

    Raises:
        OptionError: that entry, or the one beside the results, is of another machine.
    """
    found = found_machine(name)
    written = _checked_entry(results_dir, found)
    values = {**found, **_without_gpu(written)}
    values.pop("version", None)
    MachineCollection.save(found["machine"], values)
    return values


def check_machine_of_run(results_dir: Path) -> None:
    """Check that the machine that the running asv command has taken is this one.

    Raises:
        OptionError: its entry in asv's own file, or beside the results, is of another machine.
    """
    _checked_entry(results_dir, found_machine(_name_of_run()))


def _checked_entry(results_dir: Path, found: Mapping[str, str]) -> dict[str, Any]:
    """The entry in asv's own file, if there is one."""
    machine = found["machine"]
    beside = results_dir / machine / "machine.json"
    own = MachineCollection.get_machine_file_path()
    written = dict(_read_all(own).get(machine) or {})
    for where, entry in {str(beside): _read(beside), f"{own} ({machine})": written}.items():
        _check_same(entry, found, where, machine)
    return written


def _without_gpu(entry: Mapping[str, Any]) -> dict[str, Any]:
    """It may be gone, or have a new driver, since that was written."""
    return {key: value for key, value in entry.items() if key not in {_GPU, _DRIVER}}


def _check_same(
    entry: Mapping[str, Any] | None, found: Mapping[str, str], where: str, machine: str
) -> None:
    """Check that ``entry`` is of the machine that was found; what it does not tell is no matter."""
    for key in _IDENTITY:
        told = (entry or {}).get(key)
        # A GPU that is not found is none; of the rest nothing is known then.
        if told and (key in found or key == _GPU) and str(told) != found.get(key):
            here = f"here it is {found[key]!r}" if key in found else f"here no {key} is found"
            what = f"is of another machine: its {key} is {told!r}, {here}"
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
    """The machine that the running asv command has taken, from its arguments and its own file.

    Its GPU and driver are those that are found now.
    """
    name = _name_of_run()
    try:
        values = {**_without_gpu(MachineCollection.load(name)), **telling_gpu()}
    except util.UserError:
        values = {"machine": name}
    return {key: str(value) for key, value in values.items() if key != "version"}


def _name_of_run() -> str:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--machine", "-m")
    known, _ = parser.parse_known_args(sys.argv[1:])
    return str(known.machine or Machine.get_unique_machine_name())
