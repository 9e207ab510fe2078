"""Every code block of the README and of docs/ is run, on a machine that has nothing set."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from telepath_async import TelepathClient
from telepath_async.sandbox import Sandbox
from tests.support.services import redis_url

from .blocks import REDIS, ROOT, Reader, check_installs, read_blocks

__all__ = ["redis_url"]

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
NEEDS_A_KEY_SET = ("how-to", "explanation")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
async def test_the_blocks_of_a_page_run_as_printed(
    page: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    telepath_sandbox: Sandbox,
    telepath_client: TelepathClient,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    variables = {}
    if page.parent.name in NEEDS_A_KEY_SET:
        variables = {
            "TELEPATH_API_KEY": telepath_sandbox.api_key,
            "TELEPATH_BASE_URL": telepath_sandbox.base_url,
        }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    names = {"telepath": telepath_client, "__name__": "__main__"}
    redis = request.getfixturevalue("redis_url") if REDIS in page.read_text() else REDIS
    await Reader(page, tmp_path, names, variables, redis).read()


def test_the_readme_is_short() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= 200
    assert len(text.split()) <= 1200


def test_the_readme_begins_with_the_two_commands_of_a_clone() -> None:
    first = next(read_blocks(README)).text
    demo, tests = (re.sub(r"\s*#.*", "", line) for line in first.splitlines())
    assert demo == (
        'python3 -m venv .venv && .venv/bin/pip install "nox[uv]" && .venv/bin/nox -s demo'
    )
    assert tests == ".venv/bin/nox -s tests"


def test_an_extra_or_a_session_that_is_not_there_is_found() -> None:
    with pytest.raises(AssertionError):
        check_installs('pip install "telepath-async[cl]"')
    with pytest.raises(AssertionError):
        check_installs(".venv/bin/nox -s test")


async def test_a_block_that_fails_fails_its_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for block in ("```sh\nfalse\n```", "```python\nassert 0\n```", "```cobol\n```"):
        page.write_text(f"{block}\n")
        with pytest.raises(AssertionError):
            await Reader(page, tmp_path, {}, {}).read()


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
