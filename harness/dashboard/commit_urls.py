"""Where a commit is shown: a template of an address, told by the user or by git's remote."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from harness.errors import OptionError

if TYPE_CHECKING:
    from pathlib import Path

HASH: Final = "{hash}"
_TIMEOUT_S: Final = 10.0
# How the hosts that are known show a commit, below the address of its repository.
_HOSTS: Final = {"github.com": "commit", "gitlab.com": "-/commit"}
_WEB: Final = re.compile(r"(?:https?|ssh)://(?:[^@/]*@)?([^/:@]+)(?::\d+)?/(.+)")
_SCP: Final = re.compile(r"(?:[\w.-]+@)?([\w.-]+):([^/].*)")
_PATH: Final = re.compile(r"[\w.~-]+(?:/[\w.~-]+)+")
_ADDRESS: Final = re.compile(r"[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~{}]+")


def check_commit_url(template: str) -> str:
    """``template``, which becomes a link on a page: of the web, with ``{hash}``, and of nobody.

    Raises:
        OptionError: it is not.
    """
    fix = "write it as https://host/project/commit/{hash}"
    try:
        parts = urlsplit(template.replace(HASH, "0"))
    except ValueError as error:
        raise OptionError(str(error), where="--commit-url", fix=fix) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise OptionError("is no address of the web", where="--commit-url", fix=fix)
    if "@" in parts.netloc:
        # It would be in every link of a page that is sent. What it is is not repeated here.
        what = "has a user name or a password in it, which every reader of the page would see"
        raise OptionError(what, where="--commit-url", fix=fix)
    if template.count(HASH) != 1 or not _ADDRESS.fullmatch(template):
        what = "has not one {hash}, or characters that no address has"
        raise OptionError(what, where="--commit-url", fix=fix)
    return template


def commit_url_of(remote: str) -> str:
    """The template for git's ``remote``; empty where its host is not known.

    Names and passwords in the remote are left out.
    """
    match = _WEB.fullmatch(remote) or _SCP.fullmatch(remote)
    if match is None:
        return ""
    host, path = match[1].lower(), match[2].rstrip("/").removesuffix(".git")
    if host not in _HOSTS or not _PATH.fullmatch(path) or ".." in path.split("/"):
        return ""
    return f"https://{host}/{path}/{_HOSTS[host]}/{HASH}"


def find_commit_url(repository: Path) -> str:
    """The template for the remote ``origin`` of ``repository``; empty where there is none."""
    command = ["git", "-C", str(repository), "remote", "get-url", "origin"]
    try:
        done = subprocess.run(  # noqa: S603  # git, with our own arguments
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, UnicodeDecodeError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else commit_url_of(done.stdout.strip())
