"""Which files a pipeline's own code reads while it makes its modules.

A factory may load a checkpoint or a table that no declaration names. Python tells an audit hook of
every file that it opens; safetensors opens its files itself, and is asked. What other compiled
libraries open by themselves is not seen.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_HARNESS: Final = Path(__file__).resolve().parent.parent
# What belongs to the machine, and holds no one's weights.
_SYSTEM: Final = ("/proc", "/dev", "/sys", "/run", "/etc", "/usr", "/lib", "/lib64", "/bin")
# A factory that walks over a data set must not make the cache hash it at every run.
MOST_FILES: Final = 1000
_MOST_WRITTEN: Final = 10_000
_PACKAGE_FOLDERS: Final = frozenset({"site-packages", "dist-packages"})


def installed_folders() -> list[Path]:
    """Where Python and installed packages lie: also another environment's that this one sees."""
    shared = (path for path in sys.path if Path(path).name in _PACKAGE_FOLDERS)
    paths = {*sysconfig.get_paths().values(), site.getusersitepackages(), *shared}
    return [Path(path).resolve() for path in paths]


class OpenedFiles:
    """The files that were opened to be read, in ``root`` or elsewhere.

    Python, installed packages, the harness, the system and temporary files are left out, and so is
    what was written as well. At most :data:`MOST_FILES` are kept.
    """

    def __init__(self, root: Path) -> None:
        self._root = f"{root}{os.sep}"
        ignored = [*installed_folders(), Path(sys.prefix), Path(sys.base_prefix), _HARNESS]
        ignored += [Path(tempfile.gettempdir()), *map(Path, _SYSTEM)]
        folders = {str(f) for folder in ignored for f in (folder, folder.resolve())} - {os.sep}
        prefixes = {f"{folder}{os.sep}" for folder in folders}
        # The folder may lie in one of them, and one of them (an environment) in the folder.
        around = {prefix for prefix in prefixes if self._root.startswith(prefix)}
        self._ignored = tuple(prefixes - around)
        self._around = tuple(around)
        self._read: dict[str, None] = {}
        self._written: set[str] = set()

    def add(self, path: Any, flags: int) -> None:  # noqa: ANN401
        """Note that ``path`` is opened with the ``flags`` of the system's call; never raises."""
        if not isinstance(path, (str, bytes, os.PathLike)):
            return  # a descriptor: its file was opened before
        try:
            name = os.path.abspath(os.fsdecode(path))  # noqa: PTH100  # links are followed later
        except Exception:  # noqa: BLE001  # it would come out of the open() of somebody else
            return
        is_own = name.startswith(self._root)
        if name.startswith(self._ignored) or (not is_own and name.startswith(self._around)):
            return
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_DIRECTORY):
            if len(self._written) < _MOST_WRITTEN:
                self._written.add(name)
        elif len(self._read) < MOST_FILES and f"{os.sep}__pycache__{os.sep}" not in name:
            self._read[name] = None

    def paths(self) -> list[Path]:
        """The files that were read and are there still, by the names that they were opened by."""
        found = (Path(name) for name in list(self._read) if name not in self._written)
        return [path for path in found if path.is_file()]


_current: OpenedFiles | None = None
_is_hooked = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _current is not None:
        path, _, flags = arguments
        _current.add(path, flags)


@contextmanager
def noticed_files(root: Path) -> Iterator[OpenedFiles]:
    """Notice the files that are opened in the block, for the pipeline in ``root``."""
    global _current, _is_hooked  # noqa: PLW0603  # a process has one audit hook, for good
    if not _is_hooked:
        # It cannot be taken off again, and does nothing outside such a block.
        sys.addaudithook(_hook)
        _is_hooked = True
    before, opened = _current, OpenedFiles(root)
    with _safetensors_noticed(opened):
        _current = opened
        try:
            yield opened
        finally:
            _current = before


@contextmanager
def _safetensors_noticed(opened: OpenedFiles) -> Iterator[None]:
    """Notice what safetensors opens: it does so outside Python, where no hook is told."""
    try:
        import safetensors.torch  # noqa: PLC0415
    except ImportError:
        yield
        return
    original: Any = safetensors.safe_open

    def safe_open(filename: Any, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        opened.add(filename, os.O_RDONLY)
        return original(filename, *arguments, **named)

    modules: tuple[Any, ...] = (safetensors, safetensors.torch)
    for module in modules:
        module.safe_open = safe_open
    try:
        yield
    finally:
        for module in modules:
            module.safe_open = original
