"""What users' own tests get by installing the package, run as their tests would be."""

import pytest

pytest_plugins = ["pytester"]

USERS_TESTS = """
import pytest

async def test_the_client_speaks_to_the_sandbox(telepath_client, telepath_sandbox):
    assert await telepath_client.trunks.list().first()
    assert telepath_sandbox.requests[-1].path == "/v1/trunks"

@pytest.mark.telepath_sandbox(style="cursor", calls=10)
async def test_a_marker_sets_the_options(telepath_client, telepath_sandbox):
    assert len(await telepath_client.calls.list().collect()) == 10
    assert "cursor" not in telepath_sandbox.requests[0].raw_query

@pytest.mark.telepath_sandbox(style="sideways")
async def test_a_bad_option_is_an_error(telepath_sandbox):
    pass

@pytest.mark.telepath_sandbox("cursor")
async def test_an_option_without_its_name_is_an_error(telepath_sandbox):
    pass
"""


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_the_fixtures_serve_a_users_tests(pytester: pytest.Pytester, mode: str) -> None:
    marks = "" if mode == "auto" else "import pytest\npytestmark = pytest.mark.asyncio\n"
    pytester.makepyfile(marks + USERS_TESTS)
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    result = pytester.runpytest_inprocess(
        f"--asyncio-mode={mode}", "--strict-markers", "-p", "no:cacheprovider"
    )
    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines(["*style must be*sideways*", "*its options by name*'cursor'*"])


MODULE_WIDE = """
import pytest

@pytest.mark.asyncio(loop_scope="module")
async def test_on_the_loop_of_the_module(telepath_client):
    assert await telepath_client.trunks.list().first()
"""


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_a_test_on_another_loop_than_the_fixtures_is_told_what_to_set_and_then_works(
    pytester: pytest.Pytester, mode: str
) -> None:
    pytester.makepyfile(MODULE_WIDE)
    for scope, outcome in (("function", {"errors": 1}), ("module", {"passed": 1})):
        pytester.makeini(f"[pytest]\nasyncio_default_fixture_loop_scope = {scope}")
        result = pytester.runpytest_inprocess(f"--asyncio-mode={mode}", "-p", "no:cacheprovider")
        result.assert_outcomes(**outcome)
        if scope == "function":
            result.stdout.fnmatch_lines(
                ["*would hang: set asyncio_default_fixture_loop_scope = 'module' in pytest's*"]
            )


def test_a_loop_scope_in_the_configuration_is_seen_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(MODULE_WIDE.replace('(loop_scope="module")', ""))
    pytester.makeini(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\n"
        "asyncio_default_test_loop_scope = session"
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*set asyncio_default_fixture_loop_scope = 'session' in*"])


def test_the_fixtures_serve_a_test_that_another_plugin_runs(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
import pytest

@pytest.mark.anyio
async def test_under_anyio(telepath_client):
    assert await telepath_client.trunks.list().first()

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""
    )
    result = pytester.runpytest_inprocess("-p", "no:asyncio", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
