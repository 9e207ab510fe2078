"""The page in a real browser: figures, charts, dialogs, keyboard, themes, faults."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from telepath_async.sandbox import Sandbox
from tests.dashboard.stored import call, state, store, trunk

from .conftest import Visit, dashboard, run_aside

Open = Callable[..., Visit]


def sql(url: str, statement: str) -> Any:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        return connection.execute(statement).fetchone()[0]


def tile(visit: Visit, name: str) -> str:
    text = visit.page.locator(f"[data-tile={name}]").evaluate("e => e.firstChild.textContent")
    return str(text).replace(",", "")


def settled(url: str, *rows: dict[str, Any], **more: Any) -> str:
    run_aside(store(url, rows, **more))
    return url


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/calls.db"


def test_the_tiles_equal_sql(sandbox_database: str, visit: Open) -> None:
    with dashboard(sandbox_database) as served:
        seen = visit(served.address)
        now = datetime.now(UTC)
        first = now.replace(minute=0, second=0, microsecond=0) - timedelta(days=7)
        inside = f"FROM telepath_calls WHERE start_time >= '{first:%Y-%m-%d %H:%M:%S}'"
        count = sql(sandbox_database, f"SELECT count(*) {inside}")
        good = sql(sandbox_database, f"SELECT count(*) {inside} AND status = 'completed'")
        rank = max(1, -(-count * 95 // 100))
        p95 = sql(
            sandbox_database,
            f"SELECT ai_latency_ms {inside} ORDER BY ai_latency_ms LIMIT 1 OFFSET {rank - 1}",
        )
        slow = sql(sandbox_database, f"SELECT count(*) {inside} AND ai_latency_ms > 400")
        assert tile(seen, "calls") == str(count)
        assert tile(seen, "success_percent") == f"{100 * good / count:.1f} %"
        assert tile(seen, "ai_p95_ms") == f"{p95:.0f} ms"
        assert tile(seen, "above_limit") == str(slow)


def test_an_inline_script_is_refused(sandbox_database: str, visit: Open) -> None:
    with dashboard(sandbox_database) as served:
        seen = visit(served.address)
        seen.page.evaluate(
            "() => { const s = document.createElement('script');"
            "s.textContent = 'document.title = \"pwned\"'; document.body.append(s); }"
        )
        assert seen.page.title() == "Telepath calls"
        assert any("Content Security Policy" in error for error in seen.errors)
        seen.errors.clear()


def test_a_hostile_name_is_text(url: str, visit: Open) -> None:
    name = "<img src=x onerror=\"document.title='pwned'\">"
    settled(url, call(1, start_time=datetime.now(UTC)), known=[trunk("trunk_1", name=name)])
    with dashboard(url) as served:
        seen = visit(served.address)
        assert seen.page.locator("#trunks tbody button").inner_text() == name
        assert seen.page.locator("main img").count() == 0
        assert seen.page.title() == "Telepath calls"


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_both_widths_and_themes(
    sandbox_database: str, visit: Open, pictures: Path | None, width: int, theme: str
) -> None:
    with dashboard(sandbox_database) as served:
        seen = visit(served.address, width, theme)
        page = seen.page
        assert page.locator("canvas").count() == 4
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
        background = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        lightness = sum(map(int, re.findall(r"\d+", background)))
        assert (lightness < 200) == (theme == "dark")
        if pictures:
            page.screenshot(path=pictures / f"dashboard-{width}-{theme}.png", full_page=True)


def test_no_two_lines_of_a_chart_have_the_same_label(url: str, visit: Open) -> None:
    settled(url, call(1, start_time=datetime.now(UTC)))
    with dashboard(url) as served:
        page = visit(served.address).page
        page.add_init_script(
            "const fill = CanvasRenderingContext2D.prototype.fillText; window.written = [];"
            "CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {"
            "  window.written.push([this.canvas.closest('section').id, this.textAlign, text]);"
            "  return fill.call(this, text, ...rest); };"
        )
        page.reload()
        page.wait_for_selector("#tiles dd")
        page.wait_for_function("() => window.written.length > 20")
        written = page.evaluate("() => window.written")
    labels = [text for chart, side, text in written if (chart, side) == ("calls-chart", "right")]
    assert labels.count("1") == labels.count("0") > 0


def drawn(page: Any, chart: str) -> int:
    """Return how many pixels of a chart are not empty."""
    count: int = page.locator(f"#{chart} canvas").evaluate(
        "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data"
        ".filter((v, i) => i % 4 === 3 && v > 0).length"
    )
    return count


def test_charts_survive_a_resize_and_a_change_of_theme(sandbox_database: str, visit: Open) -> None:
    with dashboard(sandbox_database) as served:
        page = visit(served.address).page
        assert drawn(page, "calls-chart") > 1000
        page.click("#pause")
        page.set_viewport_size({"width": 700, "height": 900})
        page.wait_for_timeout(300)
        assert page.locator("#calls-chart canvas").evaluate("c => c.clientWidth") < 700
        assert drawn(page, "calls-chart") > 1000
        page.emulate_media(color_scheme="dark")
        page.wait_for_timeout(300)
        assert all(
            drawn(page, f"{name}-chart") > 500 for name in ("calls", "ai", "carrier", "parts")
        )


def test_a_call_opens_with_its_turns_and_trace(url: str, visit: Open) -> None:
    with dashboard(url, sandbox=Sandbox(style="cursor", calls=400)) as served:
        page = visit(served.address).page
        link = page.locator("#slowest tbody button").first
        call_id = link.inner_text()
        link.click()
        body = page.locator("#call-body")
        body.locator("dl").wait_for()
        assert page.locator("#call-title").inner_text() == call_id
        ai = sql(url, f"SELECT ai_latency_ms FROM telepath_calls WHERE id = '{call_id}'")
        assert f"{ai:,.0f} ms" in body.inner_text()
        for name in ("Codec", "Jitter", "Packet loss", "Reason"):
            assert name in body.inner_text()
        trace = body.get_by_text("SIP trace", exact=True)
        trace.click()
        assert "INVITE sip:" in body.locator("pre").inner_text()
        agents = body.locator(".lanes .agent").count()
        assert body.locator(".lanes .thinking").count() == agents
        page.keyboard.press("Escape")
        assert not page.locator("#call-dialog").is_visible()
        assert link.evaluate("e => e === document.activeElement")


def test_masked_numbers_are_on_no_page(url: str, visit: Open) -> None:
    with dashboard(url, sandbox=Sandbox(style="cursor", calls=60), mask_numbers=True) as served:
        page = visit(served.address).page
        page.locator("#slowest tbody button").first.click()
        page.locator("#call-body dl").wait_for()
        assert re.search(r"\+1555\d+", page.content()) is None
        assert "+15•••" in page.locator("#call-body").inner_text()


def test_a_tooltip_says_the_parts_of_a_stack(url: str, visit: Open) -> None:
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=30)
    good = [call(n, start_time=start) for n in range(7)]
    bad = [call(n + 10, start_time=start, status="failed") for n in range(3)]
    settled(url, *good, *bad)
    with dashboard(url) as served:
        page = visit(served.address).page
        plot = page.locator("#calls-chart .plot")
        plot.focus()
        for _ in range(31):
            page.keyboard.press("ArrowLeft")
        text = page.locator("#calls-chart .tip").inner_text()
        assert "failed 3" in text
        assert "completed 7" in text
        assert page.locator("#spoken").inner_text().endswith("failed 3, completed 7")
        page.keyboard.press("Enter")
        page.locator("#hour-calls tbody tr").first.wait_for()
        assert page.locator("#hour-calls tbody tr").count() == 10


def test_a_click_on_a_bar_lists_its_calls(url: str, visit: Open) -> None:
    settled(url, *[call(n, start_time=datetime.now(UTC) - timedelta(days=3)) for n in range(5)])
    with dashboard(url) as served:
        page = visit(served.address).page
        over = page.locator("#calls-chart .u-over")
        box = over.bounding_box()
        assert box is not None
        width = box["width"]
        for share in range(50, 65):  # where about four sevenths of the week have gone
            over.click(position={"x": width * share / 100, "y": box["height"] - 5})
            page.locator("#hour-dialog").wait_for()
            page.locator("#hour-calls table, #hour-calls .empty").first.wait_for()
            found = page.locator("#hour-calls tbody tr").count()
            page.keyboard.press("Escape")
            if found:
                break
        assert found == 5


def test_the_keyboard_reaches_everything(sandbox_database: str, visit: Open) -> None:
    with dashboard(sandbox_database) as served:
        page = visit(served.address).page
        page.click("#pause")
        page.evaluate("() => document.activeElement.blur()")
        seen = set()
        for _ in range(160):
            page.keyboard.press("Tab")
            seen.add(
                page.evaluate(
                    "() => { const e = document.activeElement; const near = e.closest('[id]');"
                    "return `${e.tagName} ${near ? near.id : ''}`; }"
                )
            )
        for reached in (
            "A ", "SELECT trunk", "SELECT direction", "BUTTON zone", "BUTTON pause",
            "DIV calls-chart", "DIV ai-chart", "DIV carrier-chart", "DIV parts-chart",
            "SUMMARY calls-chart", "BUTTON trunks", "BUTTON slowest",
        ):  # fmt: skip
            assert reached in seen


def test_a_table_stands_behind_each_chart(sandbox_database: str, visit: Open) -> None:
    with dashboard(sandbox_database) as served:
        page = visit(served.address).page
        for name in ("calls", "ai", "carrier", "parts"):
            details = page.locator(f"#{name}-chart details")
            details.locator("summary").focus()
            page.keyboard.press("Enter")
            details.locator("tbody tr").first.wait_for()
            assert details.locator("tbody tr").count() == 169
            assert details.locator("caption").count() == 1
        total = sum(
            int(text.replace(",", ""))
            for text in page.locator("#ai-chart details td:last-child").all_inner_texts()
        )
        assert total == int(tile(Visit(page), "calls"))


def test_tables_sort_and_a_trunk_filters(sandbox_database: str, visit: Open) -> None:
    with dashboard(sandbox_database) as served:
        seen = visit(served.address)
        page = seen.page
        page.click("#pause")
        page.locator("#trunks th button", has_text="calls").click()
        counts = [
            int(t.replace(",", ""))
            for t in page.locator("#trunks td:nth-child(3)").all_inner_texts()
        ]
        assert counts == sorted(counts, reverse=True)
        assert page.locator("#trunks th[aria-sort=descending]").inner_text().startswith("calls")
        page.locator("#trunks tbody button").first.click()
        page.wait_for_selector("tr.chosen")
        assert tile(seen, "calls") == str(counts[0])
        assert page.locator("#trunk").input_value() != ""


def test_an_empty_database_says_so(url: str, visit: Open) -> None:
    with dashboard(url) as served:
        seen = visit(served.address)
        assert tile(seen, "calls") == "0"
        assert tile(seen, "ai_p95_ms") == "\u2013"
        assert "no calls in this time" in seen.page.locator("#trunks").inner_text()
        assert seen.page.locator("#freshness").inner_text() == "nothing synced yet"


def test_the_page_grows_with_a_sync_that_is_under_way(url: str, visit: Open) -> None:
    sandbox = Sandbox(style="cursor", calls=3)
    with dashboard(url, sandbox=sandbox, figures=lambda: {"syncing_rows": 0}) as served:
        seen = visit(served.address)
        seen.page.click("[data-range='30d']")
        assert "reading, 0 rows" in seen.page.locator("#syncs").inner_text()
        for number in range(4):
            now = datetime.now(UTC)
            settled(url, call(number, start_time=now, synced_at=now))
            with seen.page.expect_response("**/api/data*", timeout=4_000):
                pass  # every 5 s, where nothing is under way
        seen.page.locator("[data-tile=calls]", has_text="7").wait_for()


def test_one_call_is_drawn_thin_and_says_so(url: str, visit: Open) -> None:
    settled(url, call(1, start_time=datetime.now(UTC)), states=[state()])
    with dashboard(url) as served:
        page = visit(served.address).page
        assert drawn(page, "ai-chart") > 0
        assert page.locator("dd.few").count() == 3
        assert "of 1 calls only" in page.locator("#tiles").inner_text()
        page.locator("#ai-chart .plot").focus()
        page.keyboard.press("End")
        assert "too few to tell" in page.locator("#ai-chart .tip").inner_text()


def test_times_are_in_utc_or_in_the_browsers_zone(url: str, visit: Open) -> None:
    start = datetime.now(UTC).replace(minute=30, second=0, microsecond=0) - timedelta(hours=5)
    settled(url, call(1, start_time=start))
    with dashboard(url) as served:
        page = visit(served.address, timezone_id="Asia/Kolkata").page
        cell = page.locator("#slowest td:nth-child(2)")
        assert cell.inner_text() == f"{start:%m-%d %H:%M}"
        page.click("#zone")
        there = start + timedelta(hours=5, minutes=30)
        assert cell.inner_text() == f"{there:%m-%d %H:%M}"
        assert "Asia" in page.locator("#zone").inner_text()


def test_a_sync_that_stands_still_is_red(url: str, visit: Open) -> None:
    old = datetime.now(UTC) - timedelta(hours=2)
    settled(url, call(1, start_time=old), states=[state(updated_at=old, watermark=old)])
    with dashboard(url) as served:
        page = visit(served.address).page
        page.wait_for_selector("#freshness.stale")
        assert "synced 2 h ago" in page.locator("#freshness").inner_text()


def test_a_server_that_went_away_is_told_and_comes_back(sandbox_database: str, visit: Open) -> None:
    with dashboard(sandbox_database) as served:
        seen = visit(served.address)
        page = seen.page
        page.route("**/api/**", lambda route: route.abort())
        page.click("[data-range='24h']")
        page.wait_for_selector("#banner:not([hidden])")
        assert "does not answer" in page.locator("#banner").inner_text()
        page.unroute("**/api/**")
        page.wait_for_selector("#banner", state="hidden", timeout=20_000)
        seen.errors.clear()


def test_another_browser_is_not_let_in(sandbox_database: str, visit: Open) -> None:
    with dashboard(sandbox_database) as served:
        page = visit(served.address).page
        other = page.context.browser.new_context().new_page()  # type: ignore[union-attr]
        answer = other.goto(served.address)
        assert answer is not None
        assert answer.status == 403
        other.context.close()


def test_calls_without_a_trunk_are_no_filter_and_huge_figures_stay_short(
    url: str, visit: Open
) -> None:
    rows = [call(n, start_time=datetime.now(UTC), ai_latency_ms=1e308) for n in range(30)]
    settled(url, *rows, call(99, start_time=datetime.now(UTC), trunk_id=None), states=[state()])
    with dashboard(url) as served:
        seen = visit(served.address)
        assert tile(seen, "ai_p95_ms") == "1.0e+308 ms"
        line = seen.page.locator("#trunks tbody tr", has_text="no trunk")
        assert line.locator("button").count() == 0
        assert seen.page.locator("tr.chosen").count() == 0
