"""``harness gate`` on the command line: exit codes, outputs side by side, baselines."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from harness.noise.calibration import Calibration, SeriesNoise, save
from harness.stats.fingerprint import fingerprint
from harness.stats.variance import Share
from harness.store.parquet import ParquetStore
from harness.types import Replication
from tests.history.records import CONTEXT, measurement, record
from tests.history.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.types import Record

PAIRS = 12
MS = {"encoder": 2.0, "vocoder": 6.0, "pipeline": 10.0}


def side(name: str, *, slower: float = 0.0, seed: int = 0, **changes: Any) -> Record:
    """One side of an A/B of 12 pairs: ``slower`` ms in the vocoder, and so in the whole."""
    rng = np.random.default_rng([seed, ord(name[0])])
    measured = []
    for process in range(PAIRS):
        for component, ms in MS.items():
            more = 0.0 if component == "encoder" else slower
            its = 1e-3 * (ms + more) * (1.0 + 3e-4 * rng.standard_normal())
            samples = its * (1.0 + 1e-3 * rng.standard_normal(400))
            one = measurement(component, latency_s=tuple(map(float, samples)), process=process)
            measured.append(one)
    turns = tuple(2 * i + (name == "head") for i in range(PAIRS))
    made = record(f"20260101-{name}", measured, None)
    replication = Replication(PAIRS, 1, experiment="x", turns=turns)
    return replace(made, **{"replication": replication, **changes})


def keep(folder: Path, *records: Record) -> list[Path]:
    return [ParquetStore(folder).append(one) for one in records]


@pytest.fixture
def slower(tmp_path: Path) -> Path:
    """The folder of an A/B whose head is slower."""
    folder = tmp_path / "slower"
    keep(folder, side("base"), side("head", slower=0.5))
    return folder


@pytest.fixture
def gate(
    harness: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """``harness gate`` with a cache that holds no calibration; all spaces alike."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code, out, err = harness("gate", *arguments, "--cache", tmp_path / "cache")
        return code, " ".join(out.split()), " ".join(err.split())

    return run


def test_the_head_of_an_ab_is_held_against_its_base(
    gate: Callable[..., tuple[int, str, str]], slower: Path
) -> None:
    for place in (slower, slower / "tiny-20260101-head.parquet"):
        code, out, err = gate(place)
        assert (code, err) == (1, "")
        assert "MISSED regression, onnxruntime fp32, 1 s, hot: slower: +" in out
        assert "vocoder moved by +.5" in out
        assert "'harness noise' measures it" in out
        assert "Gate of tiny: 20260101-head against 20260101-base" in out


def test_equal_sides_pass(gate: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    keep(tmp_path, side("base"), side("head"))
    code, out, _ = gate(tmp_path)
    assert (code, "pass regression, onnxruntime fp32, 1 s, hot: same:" in out) == (0, True)


def test_the_base_of_an_ab_is_held_against_nothing(
    gate: Callable[..., tuple[int, str, str]], slower: Path
) -> None:
    code, out, _ = gate(slower / "tiny-20260101-base.parquet")
    assert (code, "against no baseline" in out) == (0, True)


def test_a_baseline_of_another_machine_is_inconclusive(
    gate: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    head, base = side("head", slower=0.5), side("base", environment={"cpu": "other", "gpu": None})
    keep(tmp_path, head, base)
    code, out, _ = gate(tmp_path)
    assert code == 3
    assert "DIFFERENT ENVIRONMENT: cpu other / some" in out
    assert "INCONCLUSIVE regression" in out


def test_records_of_no_common_experiment_are_compared_by_their_processes(
    gate: Callable[..., tuple[int, str, str]], slower: Path, tmp_path: Path
) -> None:
    other = side("base", replication=Replication(PAIRS, 1))
    (base,) = keep(tmp_path / "other", other)
    code, out, _ = gate(slower, "--baseline", base)
    assert (code, "INCONCLUSIVE regression" in out, "n = 12" in out) == (3, True, True)
    assert "it counts only with --without-turns" in out
    code, out, _ = gate(slower, "--baseline", base, "--without-turns")
    assert (code, "MISSED regression" in out, "n = 12" in out) == (1, True, True)
    assert "took no turns" in out
    assert "as asked (--without-turns)" in out
    alone = [one for one in other.measurements if one.process == 0]
    (base,) = keep(tmp_path / "alone", replace(other, measurements=tuple(alone), replication=None))
    code, out, _ = gate(slower, "--baseline", base)
    assert code == 3
    assert "(no interval, n = 1): too few for an interval" in out


def test_few_pairs_are_as_many_as_there_will_be(
    gate: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """The looks of an A/B that goes on to 32 pairs would leave nine of them no interval."""
    kept = {
        name: replace(made, measurements=tuple(m for m in made.measurements if m.process < 9))
        for name, made in (("base", side("base")), ("head", side("head", slower=0.5)))
    }
    keep(tmp_path, *kept.values())
    code, out, _ = gate(tmp_path)
    assert (code, "no interval" in out) == (1, False)


def test_eight_pairs_are_enough_for_a_pipeline_among_its_components(
    gate: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """One of many series is slower by chance: of whole pipelines there is one."""

    def eight(made: Record) -> Record:
        kept = [one for one in made.measurements if one.process < 8]
        more = [
            replace(one, component=f"{one.component} {i}")
            for one in kept
            for i in range(8)
            if one.component == "encoder"
        ]
        return replace(made, measurements=(*kept, *more))

    keep(tmp_path, eight(side("base")), eight(side("head", slower=0.5)))
    file = tmp_path / "x.json"
    assert gate(tmp_path, "--json", file)[0] == 1
    (movement,) = json.loads(file.read_text())["movements"]
    told = {part["component"]: part for part in movement["components"]}
    assert movement["is_discovery"]
    assert (told["vocoder"]["verdict"], told["vocoder"]["is_discovery"]) == ("slower", False)


def test_nothing_in_common_is_bad_input(
    gate: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    other = side("base")
    measured = tuple(replace(one, precision="fp16") for one in other.measurements)
    keep(tmp_path, side("head"), replace(other, measurements=measured))
    code, _, err = gate(tmp_path)
    assert (code, "no series is common to both" in err) == (2, True)


def test_every_output_at_once(
    gate: Callable[..., tuple[int, str, str]], slower: Path, tmp_path: Path
) -> None:
    files = {name: tmp_path / "new folder" / name for name in ("x.md", "x.xml", "x.json")}
    options = ("--markdown", files["x.md"], "--junit", files["x.xml"], "--json", files["x.json"])
    code, out, _ = gate(slower, *options, "--annotations", "--source", "a,b.toml")
    assert code == 1
    assert "::error file=a%2Cb.toml,title=tiny%3A regression missed" in out
    assert files["x.md"].read_text().startswith("<!-- trt-harness gate: tiny -->\n")
    assert ET.parse(files["x.xml"]).getroot().attrib["failures"] == "1"  # noqa: S314  # our own
    assert json.loads(files["x.json"].read_text())["movements"][0]["moved"] == "vocoder"
    assert not [path for path in files["x.md"].parent.iterdir() if path not in files.values()]


def test_what_goes_to_standard_output_is_alone_there(
    harness: Callable[..., tuple[int, str, str]], slower: Path
) -> None:
    code, out, err = harness("gate", slower, "--json", "-", "--annotations")
    assert (code, json.loads(out)["exit_code"]) == (1, 1)
    assert "MISSED" in err
    assert "::error " in err


def test_two_outputs_cannot_be_one(
    gate: Callable[..., tuple[int, str, str]], slower: Path, tmp_path: Path
) -> None:
    for one, other in (("-", "-"), (tmp_path / "x", tmp_path / "y" / ".." / "x")):
        code, out, err = gate(slower, "--markdown", one, "--json", other)
        assert (code, out) == (2, "")
        assert "--json: is the same file as that of --markdown" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--baseline", "none.parquet"], "there is no such file"),
        (["--max-energy-rise", "-5%"], "is no rise"),
        (["--margin", "much"], "is no share"),
        (["--margin", "200%"], "is no margin"),
        (["--skip", "record"], "record"),
        (["--junit", "/"], "is a directory"),
    ],
)
def test_bad_input_is_two(
    gate: Callable[..., tuple[int, str, str]], slower: Path, arguments: list[str], told: str
) -> None:
    code, _, err = gate(slower, *arguments)
    assert code == 2
    assert told in err


def test_a_slowed_record_and_the_record_itself_are_bad_input(
    gate: Callable[..., tuple[int, str, str]], slower: Path
) -> None:
    base, head = (slower / f"tiny-20260101-{name}.parquet" for name in ("base", "head"))
    code, out, err = gate(head, "--baseline", head)
    assert (code, out, "20260101-head, the record that is to be held" in err) == (2, "", True)
    replication = Replication(PAIRS, 1, experiment="x", slowed_by=0.03)
    (other,) = keep(slower, side("noise", replication=replication))
    for arguments in ((other,), (head, "--baseline", other)):
        code, out, err = gate(*arguments)
        assert (code, out, "made slower by 3 % on purpose" in err) == (2, "", True)
    # Newest of the folder though it is.
    assert gate(slower, "--baseline", base)[0] == 1


def test_a_variant_that_is_gone_is_open(
    gate: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    base = side("base")
    fp16 = tuple(replace(one, precision="fp16") for one in base.measurements)
    keep(tmp_path, replace(base, measurements=(*base.measurements, *fp16)), side("head"))
    code, out, _ = gate(tmp_path)
    assert (code, "pass regression, onnxruntime fp32, 1 s, hot: same:" in out) == (3, True)
    told = (
        "INCONCLUSIVE regression, onnxruntime fp16, 1 s, hot: the head has nothing measured of it"
    )
    assert told in out


def test_no_record_is_bad_input(gate: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    assert gate(tmp_path)[0] == 2
    (tmp_path / "x.parquet").write_bytes(b"no record")
    assert gate(tmp_path / "x.parquet")[0] == 2


def test_limits_are_shares(gate: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    more = tuple(replace(m, energy_j=0.6) for m in side("head").measurements)
    keep(tmp_path, side("base"), replace(side("head"), measurements=more))
    assert gate(tmp_path)[0] == 0
    code, out, _ = gate(tmp_path, "--max-energy-rise", "10%")
    assert (code, "MISSED energy" in out, "+20.00 %, 0.5 to 0.6 J" in out) == (1, True, True)
    assert gate(tmp_path, "--max-energy-rise", "0.25")[0] == 0


def test_the_margin_is_the_machines_where_it_is_known(
    gate: Callable[..., tuple[int, str, str]], slower: Path, tmp_path: Path
) -> None:
    alarms = Share(0, 2000, 0.0, 0.0015)
    label = "pipeline, onnxruntime fp32, 1 s, hot"
    row = SeriesNoise(label, 0.01, 0.01, 0.2, alarms, 0.03)
    environment = side("head").environment
    made = Calibration(fingerprint(environment), "tiny", "2026-01-01T00:00:00", (row,))
    save(made, tmp_path / "cache")
    code, out, _ = gate(slower)
    # 5 % is none on a machine whose noise is so large.
    assert code == 0
    assert "a change up to 20 % is none, by this machine's calibration of 2026-01-01" in out
    assert "slower in 0 of 2000 trials (at most 0.15 %), and a slowdown of 3 % is found" in out
    code, out, _ = gate(slower, "--margin", "1%")
    assert (code, "a change up to 1 % is none, as asked" in out) == (1, True)


def test_a_commit_is_a_baseline_by_its_records(
    gate: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    repository = Repository(tmp_path / "repository")
    commit = repository.commit("one", {"file": "1"})
    repository.commit("two", {"file": "2"})
    base = replace(side("base"), history=asdict(replace(CONTEXT, commit=commit)))
    keep(tmp_path / "history", base)
    (head,) = keep(tmp_path / "head", side("head", slower=0.5))
    places = ("--records", tmp_path / "history", "--repository", repository.root)
    for name in (commit, "main"):
        code, out, _ = gate(head, "--baseline", name, *places)
        assert (code, "MISSED regression" in out) == (1, True)
    assert "main is 1 commits on from the baseline" in out
    code, _, err = gate(head, "--baseline", "no-branch", *places)
    assert (code, "git does not know it" in err) == (2, True)
