"""``harness bisect``: which commit made a benchmark slower."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.ab import make_experiment, pair_options
from harness.cli.ab_words import find_plan, measuring_words, read_measuring
from harness.cli.options import FILE, FOLDER, cache_option
from harness.errors import EXIT_INCONCLUSIVE, EXIT_PASS, OptionError
from harness.percent import signed_percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.ab.experiment import Experiment
    from harness.ab.revisions import Revision
    from harness.bisect.search import Found
    from harness.bisect.state import State
    from harness.types import Record

_SHOWN = 12


@click.command("bisect")
@click.argument("good")
@click.argument("bad")
@click.option(
    "--benchmark",
    required=True,
    help="The series to look at: COMPONENT, or COMPONENT/VARIANT/SIZE; the whole is 'pipeline'.",
)
@click.option("--restart", is_flag=True, help="Forget what an earlier bisection has measured.")
@pair_options
@measuring_words
@click.option(
    "--out", type=FOLDER, default=Path("reports"), show_default=True, help="Folder of records."
)
@click.option("--json", "json_file", type=FILE, help="Write what was found as JSON as well.")
@cache_option
@click.pass_context
def bisect(context: click.Context, /, **options: Any) -> int:  # noqa: ANN401
    """Find the commit after GOOD, up to BAD, that made a benchmark slower.

    Each step measures two commits in turns. A commit that cannot be built is left out. Interrupted,
    or killed, the same command goes on. Exits 0 where the commit is known, 3 where it is not.
    """
    from harness.ab.revisions import find_repository, resolve  # noqa: PLC0415
    from harness.bisect.running import Benchmark, commits_between, run_bisection  # noqa: PLC0415
    from harness.bisect.search import Search  # noqa: PLC0415
    from harness.bisect.state import State  # noqa: PLC0415
    from harness.cli.progress import ProgressObserver  # noqa: PLC0415
    from harness.files import check_writable  # noqa: PLC0415
    from harness.store.parquet import ParquetStore  # noqa: PLC0415

    repository = find_repository(options["repository"])
    ends = [resolve(options[name], repository) for name in ("good", "bad")]
    for end in ends:
        if end.is_worktree:
            what, fix = "the working tree is no commit", "commit it first"
            raise OptionError(what, where=end.label, fix=fix)
    benchmark = Benchmark(options["benchmark"])
    commits = commits_between(ends[0], ends[1], repository)
    experiment, question = _experiment(context, options, repository, benchmark)
    store, json_file = ParquetStore(options["out"]), options["json_file"]
    store.check()
    if json_file is not None:
        check_writable(json_file, is_text=True)

    def keep(*records: Record) -> None:
        for record in records:
            store.append(record)

    experiment = replace(experiment, keep=keep)
    state = State(experiment.place.cache, {**question, "commits": commits})
    search = Search(commits, experiment.plan.rule.margin)
    with state.held():
        _begin(state, restart=options["restart"])
        with ProgressObserver() as observer:
            found = run_bisection(search, state, benchmark, experiment, observer, observer.message)
    _report(found, ends, repository, state, json_file)
    return EXIT_PASS if found.culprit else EXIT_INCONCLUSIVE


def _experiment(
    context: click.Context,
    options: dict[str, Any],
    repository: Path,
    benchmark: Any,  # noqa: ANN401
) -> tuple[Experiment, dict[str, Any]]:
    """What each step measures, and what makes it another bisection."""
    from harness.pipeline.pipeline import WHOLE_PIPELINE  # noqa: PLC0415

    if not benchmark.parts:
        what, fix = "it names nothing", "name a component, or pipeline"
        raise OptionError(what, where="--benchmark", fix=fix)
    plan = find_plan(repository)
    measuring = read_measuring(context, plan)
    component = benchmark.parts[0]
    if component != WHOLE_PIPELINE and not options["components"]:
        # Nothing else is waited for.
        measuring = replace(measuring, words=(*measuring.words, f"--component={component}"))
    experiment = make_experiment(repository, options, measuring, plan)
    question = {
        "repository": str(repository),
        "pipeline": experiment.place.pipeline,
        "benchmark": benchmark.parts,
        "words": measuring.words,
        "simulation": measuring.simulation and asdict(measuring.simulation),
        "rule": asdict(experiment.plan.rule),
        "rebuilds": experiment.plan.rebuilds,
        "max_time_s": experiment.plan.max_time_s,
        "export_python": str(experiment.place.python),
        **_here(repository),
    }
    return experiment, question


def _here(repository: Path) -> dict[str, Any]:
    """By what, and on which machine, it is measured: what was measured elsewhere is no answer."""
    from harness.measure.environment import describe_environment  # noqa: PLC0415
    from harness.stats.fingerprint import fingerprint  # noqa: PLC0415
    from harness.watching import describe_gpu  # noqa: PLC0415

    environment = describe_environment(repository, gpu=describe_gpu())
    return {
        "harness": [environment["harness_version"], environment["harness_commit"]],
        "environment": fingerprint(environment),
    }


def _begin(state: State, *, restart: bool) -> None:
    if restart:
        state.forget()
    count = state.load()
    if count:
        text = f"Going on after {count} steps; --restart begins anew."
        click.echo(text, err=True)


def _report(
    found: Found,
    ends: Sequence[Revision],
    repository: Path,
    state: State,
    json_file: Path | None,
) -> None:
    """Print what was found with its evidence, and write it as JSON."""
    import json  # noqa: PLC0415

    from harness.ab.revisions import resolve  # noqa: PLC0415
    from harness.cli.output import tell  # noqa: PLC0415
    from harness.files import write_text  # noqa: PLC0415
    from harness.report.escaping import visible  # noqa: PLC0415

    subjects = {commit: resolve(commit, repository).subject for commit in found.suspects}
    is_simulated = any(step.is_simulated for step in state.steps.values())
    lines = ["SIMULATED: the times are made up"] if is_simulated else []
    lines.append(f"{ends[0]} to {ends[1]}, {len(state.steps)} steps")
    reason = visible(found.reason)
    if found.culprit:
        lines.append(f"{found.culprit[:_SHOWN]} made it slower: {visible(subjects[found.culprit])}")
    elif found.suspects:
        lines.append(f"It is not known which of {len(found.suspects)} it is: {reason}")
        lines += [f"  {commit[:_SHOWN]} {visible(text)}" for commit, text in subjects.items()]
    else:
        lines.append(f"There is nothing to find: {reason}")
    step = found.evidence
    if step is not None and not step.skipped:
        change, lower, upper = map(signed_percent, (step.ratio, step.lower, step.upper))
        text = f"{change} % ({lower} to {upper} %) in {step.pairs} pairs"
        lines.append(f"Evidence: {step.head[:_SHOWN]} against {step.base[:_SHOWN]}: {text}")
        lines += [f"Note: {visible(remark)}" for remark in step.remarks]
        lines.append(f"Records: {', '.join(step.record_ids)}")
    if json_file is not None:
        told = {
            "culprit": found.culprit or None,
            "suspects": subjects,
            "reason": found.reason or None,
            "is_simulated": is_simulated,
            "evidence": step and asdict(step),
            "steps": [asdict(one) for one in state.steps.values()],
        }
        plain = json.loads(json.dumps(told).replace("Infinity", "null"))
        write_text(json_file, f"{json.dumps(plain, indent=1)}\n")
    tell("\n".join(lines), beside=json_file)
