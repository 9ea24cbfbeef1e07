"""Where a commit is shown: only on the web, and only of hosts that are known."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from harness.dashboard.commit_urls import check_commit_url, commit_url_of, find_commit_url
from harness.errors import OptionError

if TYPE_CHECKING:
    from pathlib import Path

GITHUB = "https://github.com/a/b.c/commit/{hash}"


@pytest.mark.parametrize(
    ("remote", "template"),
    [
        ("https://github.com/a/b.c.git", GITHUB),
        ("https://github.com/a/b.c/", GITHUB),
        ("https://me:secret@github.com/a/b.c", GITHUB),
        ("ssh://git@github.com:22/a/b.c.git", GITHUB),
        ("git@github.com:a/b.c.git", GITHUB),
        ("GitHub.com:a/b.c", GITHUB),
        ("git@gitlab.com:a/b/c.git", "https://gitlab.com/a/b/c/-/commit/{hash}"),
        ("https://github.com.evil.example/a/b", ""),
        ("https://evil.example/github.com/a/b", ""),
        ("https://github.com/a", ""),
        ("https://github.com/a/../b", ""),
        ('https://github.com/a/"><script>', ""),
        ("https://github.com/a/b{hash}", ""),
        ("git@example.org:a/b.git", ""),
        ("/srv/git/a.git", ""),
        ("../a", ""),
        ("file:///srv/github.com/a/b", ""),
        ("", ""),
    ],
)
def test_a_remote_of_a_known_host_has_a_template(remote: str, template: str) -> None:
    assert commit_url_of(remote) == template


def test_the_remote_is_that_of_the_repository(tmp_path: Path) -> None:
    assert find_commit_url(tmp_path / "none") == ""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    assert find_commit_url(tmp_path) == ""
    add = ["git", "-C", tmp_path, "remote", "add", "origin", "git@github.com:a/b.c.git"]
    subprocess.run(add, check=True)
    assert find_commit_url(tmp_path) == GITHUB


@pytest.mark.parametrize(
    "template",
    ["http://localhost:3000/a/commit/{hash}", "https://h/{hash}?x=1", "https://[::1]/{hash}"],
)
def test_an_address_of_the_web_is_taken_as_it_is(template: str) -> None:
    assert check_commit_url(template) == template


@pytest.mark.parametrize(
    "template",
    [
        *(
            "javascript:alert('{hash}')",
            "data:text/html,{hash}",
            "file:///{hash}",
            "{hash}",
        ),
        *("https://h/", "https://h/{hash}/{hash}", "https:///{hash}", "//h/{hash}"),
        *(
            'https://h/"{hash}',
            "https://h/ {hash}",
            "https://h/\n{hash}",
            "https://[/{hash}",
        ),
        *("https://h/<b>{hash}", ""),
    ],
)
def test_what_is_no_address_of_the_web_is_refused(template: str) -> None:
    with pytest.raises(OptionError, match=r"--commit-url: .*https://host/project"):
        check_commit_url(template)


@pytest.mark.parametrize("who", ["me:secret@", "secret@", ":secret@", "@", "a@b:secret@"])
def test_a_name_and_a_password_get_into_no_link_and_no_message(who: str) -> None:
    with pytest.raises(OptionError, match="user name or a password") as caught:
        check_commit_url(f"https://{who}h/{{hash}}")
    assert "secret" not in str(caught.value)


def test_an_address_may_have_such_a_sign_elsewhere() -> None:
    assert check_commit_url("https://h/@me/{hash}") == "https://h/@me/{hash}"
