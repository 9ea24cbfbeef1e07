"""asv's configuration, repository and environments, as ``harness history run`` needs them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from asv import util
from asv.config import Config
from asv.environment import EnvironmentUnavailable, get_environments
from asv.plugin_manager import plugin_manager
from asv.repo import get_repo

from harness.errors import OptionError
from harness.history.asv_environment import SharedEnvironment
from harness.history.places import short
from harness.history.plan import PLAN_NAME
from harness.measure.environment import git_state

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

_CONFIG: Final = "asv.conf.json"


@dataclass(frozen=True)
class AsvProject:
    """A folder with asv's configuration; asv runs in it."""

    config: Path
    conf: Any

    @property
    def folder(self) -> Path:
        """Where the configuration lies."""
        return self.config.parent

    @property
    def results_dir(self) -> Path:
        """The folder of asv's results."""
        return (self.folder / str(self.conf.results_dir)).resolve()

    @property
    def env_dir(self) -> Path:
        """The folder of asv's environments, and of the commits' checkouts."""
        return (self.folder / str(self.conf.env_dir)).resolve()

    @property
    def plan(self) -> Path:
        """The file that says what is measured of each commit."""
        return (self.folder / str(self.conf.benchmark_dir) / PLAN_NAME).resolve()

    def commits(self, range_spec: str, steps: int | None, known: Collection[str]) -> list[str]:
        """The hashes of a range as asv takes it, those first that asv would measure first.

        ``NEW`` is another one than asv's, which ends at the newest commit that there are results
        of, whoever measured it, and so forgets all that an interrupted run has not come to. It is
        what each branch has since the oldest of its commits that are ``known``, as
        :func:`harness.history.places.short` gives them, and that one; all where none is. The oldest
        comes first: what an interrupted run leaves over is what has come since.

        Raises:
            OptionError: it is no range of this repository.
        """
        with _asv_errors(self.folder, range_spec):
            repo = get_repo(self.conf)
            if range_spec == "NEW":
                found = _since_oldest(repo, self.conf.branches, known)
            elif range_spec == "ALL":
                found = repo.get_new_branch_commits(self.conf.branches, [])
            elif range_spec == "TAGS":
                found = [repo.get_hash_from_name(tag) for tag in repo.get_tags()][::-1]
            elif range_spec == "HEAD":
                found = [repo.get_hash_from_name(range_spec)]
            else:
                found = repo.get_hashes_from_range(range_spec)
            return list(found if steps is None else util.pick_n(found, steps))

    def environment_names(self) -> list[str]:
        """The names of the environments that asv would measure in.

        Raises:
            OptionError: none can be made here, or one is of another type.
        """
        with _asv_errors(self.folder, str(self.config)):
            made = list(get_environments(self.conf, None, verbose=False))
        others = [env.name for env in made if not isinstance(env, SharedEnvironment)]
        if others or not made:
            what = f"{others[0]} is of another type" if others else "there is no environment"
            fix = 'set "environment_type": "shared", and no other Python than the running one'
            raise OptionError(what, where=str(self.config), fix=fix)
        return [str(env.name) for env in made]

    def warnings(self) -> list[str]:
        """What the user should know before anything is measured."""
        outputs = (self.env_dir, self.results_dir, self.folder / str(self.conf.html_dir))
        state = git_state(self.folder, outputs=outputs)
        if state is None or not state["is_dirty"]:
            return []
        what = "the working tree has changes that are in no commit: they are not measured"
        return [f"{what}; the suites and their plan are used as they are, and records say so"]


def open_project(config: Path) -> AsvProject:
    """The project of the configuration at ``config``, a file or its folder.

    Raises:
        OptionError: it cannot be read.
    """
    path = (config / _CONFIG if config.is_dir() else config).resolve()
    if not path.is_file():
        fix = "write one with 'harness history init FOLDER'"
        raise OptionError("there is no such file", where=str(path), fix=fix)
    with _asv_errors(path.parent, str(path)):
        conf = _load(path, where=str(path))
        for plugin in conf.plugins:
            plugin_manager.import_plugin(plugin)
    return AsvProject(path, conf)


def results_of(config: Path) -> Path:
    """The folder of asv's results that the file ``config`` names; none of its plugins is loaded.

    Raises:
        OptionError: it cannot be read.
    """
    path = config.resolve()
    with _asv_errors(path.parent, str(config)):
        conf = _load(path, where=str(config))
    return config.parent / str(conf.results_dir)


def _load(path: Path, *, where: str) -> Any:  # noqa: ANN401
    try:
        return Config.load(str(path))
    except (TypeError, ValueError) as error:
        what = f"is no JSON that asv takes: {error}"
        raise OptionError(what, where=where, fix="see docs/history.md") from error


def _since_oldest(repo: Any, branches: Sequence[str], known: Collection[str]) -> list[str]:  # noqa: ANN401
    found: dict[str, None] = {}
    for branch in branches:
        newest_first = list(repo.get_branch_commits(branch))
        places = [i for i, commit in enumerate(newest_first) if short(commit) in known]
        part = newest_first[: places[-1] + 1] if places else newest_first
        found.update(dict.fromkeys(reversed(part)))
    return list(found)


@contextmanager
def _asv_errors(folder: Path, where: str) -> Iterator[None]:
    """Be in ``folder``, as asv is, and turn its errors into one of ours."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    except util.ProcessError as error:
        said = (error.stderr or error.stdout or str(error)).strip().splitlines()
        what = said[0] if said else "git failed"
        fix = "give a range of git, such as HEAD~10..HEAD or v1..v2, or NEW"
        raise OptionError(what, where=where, fix=fix) from error
    except (util.UserError, EnvironmentUnavailable) as error:
        raise OptionError(str(error), where=where, fix="see docs/history.md") from error
    finally:
        os.chdir(before)
