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
"""


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_the_fixtures_serve_a_users_tests(pytester: pytest.Pytester, mode: str) -> None:
    marks = "" if mode == "auto" else "import pytest\npytestmark = pytest.mark.asyncio\n"
    pytester.makepyfile(marks + USERS_TESTS)
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    result = pytester.runpytest_inprocess(
        f"--asyncio-mode={mode}", "--strict-markers", "-p", "no:cacheprovider"
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*style must be*sideways*"])
