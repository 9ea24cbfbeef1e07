"""asv's environment type ``shared``: the heavy packages are the parent's, the project is its own.

``asv.conf.json`` names it: ``"plugins": [".harness.history.asv_environment"]``. Per commit only the
project is built and installed, by uv, without a look at the network. The suites in it start the
interpreter that runs asv, the *instrument*, which measures.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import sysconfig
import time
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from asv import util
from asv.console import log
from asv.environment import Environment, EnvironmentUnavailable

from harness.errors import HarnessError, MissingDependencyError, OptionError
from harness.history.asv_machine import check_machine_of_run, machine_of_run, telling_gpu
from harness.history.context import HistoryContext
from harness.history.exports import choose_exports
from harness.history.instrument import (
    EXPORT_PYTHON,
    PACKAGE,
    find_python,
    harness_command,
    version_in,
)
from harness.history.lock import hold_folders
from harness.history.places import BUILD, MEASURE, Failure, records_folder, short, write_failure
from harness.history.plan import PLAN_NAME, offered, read_plan
from harness.history.rounds import first_round
from harness.history.told import tell
from harness.history.uv import PROJECT_FILES, build_words, reason_in, uv_program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# What the suites read; see benchmarks/measured.py.
VARIABLE: Final = "TRT_HARNESS_HISTORY"
# Another version of these is another series.
_SPLITTING: Final = ("onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-rtx", "torch")
_SETUP_CACHE: Final = "setup_cache"
# asv's server of forks would stay for ever where asv is killed: Linux ends it (PR_SET_PDEATHSIG).
_SERVER: Final = "run_server"
_DIES_WITH_ASV: Final = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
_SHARED_HARNESS: Final = "_shared_harness"
_PTH: Final = "shared_packages.pth"
_UV_ARCHIVES: Final = 50


def shared_versions() -> dict[str, str]:
    """The versions that split asv's series: of the libraries that run graphs, driver and GPU."""
    found = {}
    for package in _SPLITTING:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    exporter = exporting_python()
    torch = version_in(exporter, "torch") if exporter else None
    return {**found, **({"torch": torch} if torch else {}), **telling_gpu()}


def exporting_python() -> Path | None:
    """The interpreter that exports, where it is not that of the environment.

    Raises:
        EnvironmentUnavailable: there is no such program.
    """
    told = os.environ.get(EXPORT_PYTHON)
    try:
        return find_python(Path(told) if told else None)
    except OptionError as error:
        raise EnvironmentUnavailable(str(error)) from error


def find_uv() -> str:
    """The program uv.

    Raises:
        EnvironmentUnavailable: it is not installed.
    """
    try:
        return uv_program()
    except MissingDependencyError as error:
        raise EnvironmentUnavailable(str(error)) from error


class SharedEnvironment(Environment):  # type: ignore[misc]  # asv has no types
    """A virtual environment that sees the packages of the interpreter that runs asv."""

    tool_name = "shared"
    matches_python_fallback = False
    # Held by the process until it ends.
    _locks: ClassVar[dict[tuple[Path, Path], object]] = {}

    def __init__(
        self,
        conf: Any,  # noqa: ANN401  # asv's own configuration
        python: str,
        requirements: Mapping[str, str],
        tagged_env_vars: Mapping[tuple[str, str], str],
    ) -> None:
        if not self.matches(python):
            running = _running_python()
            message = f"its packages are those of Python {running}, and {python} is asked for"
            raise EnvironmentUnavailable(message)
        self._uv = find_uv()
        self._python = python
        self._requirements = {**shared_versions(), **requirements}
        super().__init__(conf, python, self._requirements, tagged_env_vars)
        self._conf = conf
        self._results_dir = Path(conf.results_dir).resolve()
        self._folders = self._results_dir, Path(conf.env_dir).resolve()
        self._interpreter = Path(self._path, "bin", "python")
        self._dates: dict[str, float] = {}
        self._exports = choose_exports(Path(self._path), [])
        self._firsts: dict[str, int] = {}
        self._rounds: dict[str, int] = {}
        self._machine: dict[str, str] | None = None
        self._told: dict[str, Any] | None = None

    @classmethod
    def matches(cls, python: str) -> bool:
        """Whether this type can make an environment of that version: of the running one only."""
        return python in {_running_python(), "same"}

    @property
    def installed_commit_hash(self) -> None:
        """Never known: asv would then leave out the checkout, which a kill may have cut off."""
        return

    def check_presence(self) -> bool:
        """Whether it is there, with the same packages."""
        expected = {
            "tool_name": self.tool_name,
            "python": self._python,
            "requirements": self._requirements,
            "build_env_vars": self.build_env_vars,
        }
        try:
            found = self.load_info_file(self._path)
            shared = self._pth().read_text(encoding="utf-8")
        except (util.UserError, OSError):
            return False
        return bool(found == expected and shared == self._shared() and self._interpreter.exists())

    def create(self) -> None:
        """Make it unless it is there.

        Raises:
            UserError: another run works on the same results or checkouts, or they are of another
                machine.
        """
        if self._folders not in self._locks:
            try:
                check_machine_of_run(self._results_dir)
                self._locks[self._folders] = hold_folders(*self._folders)
            except HarnessError as error:
                raise util.UserError(str(error)) from error
        super().create()

    def _setup(self) -> None:
        log.info(f"Creating an environment for {self.name}")
        util.check_call([sys.executable, "-m", "venv", "--without-pip", self._path])
        # The harness alone, and not what lies beside it in a checkout.
        folder = self._pth().parent / _SHARED_HARNESS
        folder.mkdir()
        (folder / "harness").symlink_to(PACKAGE, target_is_directory=True)
        self._pth().write_text(self._shared(), encoding="utf-8")

    def _pth(self) -> Path:
        version = f"python{_running_python()}"
        return Path(self._path, "lib", version, "site-packages", _PTH)

    def _shared(self) -> str:
        """Folders of packages, a line each; the commit's own come before them."""
        folders = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
        folders.append(str(self._pth().parent / _SHARED_HARNESS))
        return "".join(f"{folder}\n" for folder in dict.fromkeys(folders))

    def install_project(self, conf: Any, repo: Any, commit_hash: str) -> None:  # noqa: ANN401
        """Check the commit out, build it and install it; why it fails is noted beside its records.

        Raises:
            ProcessError: it cannot be built; asv goes on with the next commit.
        """
        started = time.perf_counter()
        # Otherwise asv would take an installed commit for a checked out one.
        self._set_installed_commit_hash(None)
        self._dates[commit_hash] = repo.get_date(commit_hash) / 1000
        try:
            super().install_project(conf, repo, commit_hash)
        except util.ProcessError as error:
            self._set_commit_hash(commit_hash)
            self._note_failure(BUILD, reason_in(f"{error.stdout}\n{error.stderr}"))
            raise
        spent_s = time.perf_counter() - started
        tell("installed", commit=commit_hash, seconds=spent_s)

    def checkout_project(self, repo: Any, commit_hash: str) -> None:  # noqa: ANN401
        """Check the commit out; without asv's looks at submodules where there are none."""
        tree = Path(self._build_root)
        git = ["git", "-C", str(tree)]
        # Where the tree had submodules, only asv's way takes them away again.
        if (tree / ".git").exists() and not (tree / ".gitmodules").exists():
            try:
                util.check_call([*git, "checkout", "-f", "--detach", commit_hash])
                util.check_call([*git, "clean", "-fdx"])
            except util.ProcessError:
                log.debug("the checkout is made anew")
            else:
                if not (tree / ".gitmodules").exists():
                    self._set_commit_hash(commit_hash)
                    return
        super().checkout_project(repo, commit_hash)

    def _uv_cache(self) -> Path:
        """Its own, begun anew now and then: nothing of other projects is in it, and no old wheel.

        With none, uv would look at the interpreter each time, and copy each file twice.
        """
        cache = Path(self._path, "uv-cache")
        if sum(1 for _ in cache.glob("archive-*/*")) > _UV_ARCHIVES:
            shutil.rmtree(cache, ignore_errors=True)
        return cache

    def _uninstall_project(self) -> None:
        """Installing replaces what is there."""
        self._set_installed_commit_hash(None)

    def _build_project(self, repo: Any, commit_hash: str, build_dir: str) -> None:  # noqa: ANN401, ARG002
        """Build the wheel into asv's cache of builds; a folder without a project needs none."""
        if not any(Path(build_dir, name).is_file() for name in PROJECT_FILES):
            return
        out = self._global_env_vars["ASV_BUILD_CACHE_DIR"]
        words = build_words(build_dir, self._interpreter, out, self._uv_cache())
        util.check_call([self._uv, *words], timeout=self._install_timeout)

    def _install_project(self, repo: Any, commit_hash: str, build_dir: str) -> None:  # noqa: ANN401, ARG002
        """Install the wheel of asv's cache of builds, if there is one."""
        wheels = sorted(Path(self._global_env_vars["ASV_BUILD_CACHE_DIR"]).glob("*.whl"))
        self._remove_others({wheel.name.partition("-")[0] for wheel in wheels})
        self._exports = choose_exports(Path(self._path), wheels)
        if not wheels:
            return
        command = ["pip", "install", "--python", str(self._interpreter), "--no-deps", "--offline"]
        command += ["--cache-dir", str(self._uv_cache()), "--no-config", "--reinstall"]
        command.append(str(wheels[-1]))
        util.check_call([self._uv, *command], timeout=self._install_timeout)

    def _remove_others(self, kept: set[str]) -> None:
        """Take away what commits have left that were called otherwise, or had a project at all."""
        there = {path.name.partition("-")[0] for path in self._pth().parent.glob("*.dist-info")}
        if there - kept:
            command = ["pip", "uninstall", "--python", str(self._interpreter)]
            command += ["--cache-dir", str(self._uv_cache()), *sorted(there - kept)]
            util.check_call([self._uv, *command])

    def run(self, args: Sequence[str], **kwargs: Any) -> Any:  # noqa: ANN401  # as asv's own
        """Run the environment's Python, with all that the suites need to know of this commit."""
        environment = dict(kwargs.pop("env", None) or os.environ)
        measures = _SETUP_CACHE in args
        environment[VARIABLE] = json.dumps(self._what_suites_are_told())
        started_s = time.time()
        words = ["-c", _DIES_WITH_ASV, *args] if _SERVER in args else list(args)
        done = self.run_executable("python", words, env=environment, **kwargs)
        if measures:
            commit = self._global_env_vars["ASV_COMMIT"]
            self._rounds[commit] = self._rounds.get(commit, 0) + 1
            out, _, code = done
            if code != 0 and not self._has_noted_since(started_s):
                self._note_failure(MEASURE, reason_in(out))
        return done

    def _what_suites_are_told(self) -> dict[str, Any]:
        """What ``benchmarks/measured.py`` reads: what there is to pick, and how to measure it."""
        if self._told is None:
            plan = Path(self._conf.benchmark_dir, PLAN_NAME).resolve()
            self._told = {"plan": str(plan), **_offered(plan, Path(self._conf.repo))}
        commit = self._global_env_vars.get("ASV_COMMIT", "")
        records = self._records()
        context = HistoryContext(
            commit=commit,
            commit_unix_s=self._dates.get(commit, 0.0),
            machine=self._found_machine()["machine"],
            environment_name=self.name,
            requirements=dict(self._requirements),
            python=self._python,
            round=0,
            started_unix_s=0.0,
            machine_values=self._found_machine(),
            env_vars=dict(self.env_vars),
        )
        options = {
            "--plan": self._told["plan"],
            "--checkout": self._build_root,
            "--python": str(exporting_python() or self._interpreter),
            "--exports": str(self._exports),
            "--records": str(records),
            "--context": json.dumps(asdict(context)),
        }
        flat = [word for pair in options.items() for word in pair]
        if exporting_python():
            # The commit's own, and the harness of here for a project that is another.
            site = self._pth().parent
            flat += ["--packages", str(site), "--packages", str(site / _SHARED_HARNESS)]
        if commit not in self._firsts:
            # Before this run adds to what is there.
            self._firsts[commit] = first_round(records, self.name, commit)
        return {
            **self._told,
            "measure": [*harness_command(), "history", "measure", *flat],
            "round": self._firsts[commit] + self._rounds.get(commit, 0),
        }

    def _found_machine(self) -> dict[str, str]:
        if self._machine is None:
            self._machine = machine_of_run()
        return self._machine

    def _records(self) -> Path:
        return records_folder(self._results_dir, self._found_machine()["machine"])

    def _note_failure(self, stage: str, reason: str) -> None:
        commit = self._global_env_vars["ASV_COMMIT"]
        # Where the checkout lies is of no interest.
        reason = reason.replace(f"{self._build_root}/", "")
        failure = Failure(commit, self.name, stage, reason, time.time())
        write_failure(self._records(), failure)
        tell("failed", commit=commit, stage=stage, reason=reason)
        log.error(f"{short(commit)}: {stage} failed: {reason}")

    def _has_noted_since(self, unix_s: float) -> bool:
        """Whether what measured has noted itself why it failed."""
        return any(p.stat().st_mtime >= unix_s for p in self._records().glob("*.failed"))


def _running_python() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def _offered(plan: Path, repository: Path) -> dict[str, Any]:
    """The parameters of the suites, of the working tree's pipeline.

    Raises:
        UserError: the plan, or the pipeline that it names, cannot be used.
    """
    from harness.pipeline.loader import load_pipeline  # noqa: PLC0415  # loads pydantic

    try:
        found = read_plan(plan)
        return offered(found, load_pipeline(repository.resolve() / found.pipeline))
    except HarnessError as error:
        raise util.UserError(str(error)) from error
