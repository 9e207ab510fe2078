// The page: what is chosen, what is asked every few seconds, and what is shown of the answer.

import { callBody } from "./call.js";
import { Chart } from "./charts.js";
import { accountName, ago, element, moment, number, parts, unix, view, zoneName } from "./format.js";
import { replace, table } from "./tables.js";

const SECONDS = 5;
const GROWING_SECONDS = 1; // the charts grow with a sync
const EXPLAIN_SECONDS = 30;
const at = (id) => document.getElementById(id);
const state = {
  range: "7d", since: "", until: "", account: "", trunk: "", direction: "", paused: false,
  sorts: { trunks: null, accounts: null },
};
let answer = null;
let received = 0;
let asked = 0;
let explained = -Infinity;

const charts = [
  new Chart(at("calls-chart"), {
    title: "Calls by status", note: "a click lists the calls", onOpen: openBar,
    rows: (data) => Object.entries(data.statuses).reverse()
      .map(([label, values]) => ({ label, values, stacked: true, colour: statusColour(label) })),
  }),
  new Chart(at("ai-chart"), {
    title: "AI latency, ms", note: "thin: of fewer than 20 calls; ▼: the average is above the limit",
    unit: "ms", limit: (data) => data.ai, rows: (data) => percentiles(data.ai),
  }),
  new Chart(at("carrier-chart"), {
    title: "Carrier lag, ms", note: "thin: of fewer than 20 calls", unit: "ms",
    limit: (data) => data.carrier, rows: (data) => percentiles(data.carrier),
  }),
  new Chart(at("parts-chart"), {
    title: "Where an answer's time goes, ms", note: "averages", unit: "ms", digits: 0,
    rows: (data) => [
      { label: "gateway", values: data.parts.gateway, stacked: true, colour: "green" },
      { label: "AI", values: data.parts.ai, stacked: true, colour: "blue" },
      { label: "carrier", values: data.parts.carrier, stacked: true, colour: "slate" },
    ],
  }),
];

function percentiles(data) {
  return [
    { label: "p99", values: data.p99, colour: "amber", width: 1 },
    { label: "p50", values: data.p50, colour: "slate" },
    { label: "p95", values: data.p95, colour: "blue", width: 2 },
  ];
}

function statusColour(status) {
  const known = { completed: "blue", connected: "blue", disconnected: "amber", failed: "red" };
  return known[status] || "soft";
}

// --- asking ---

function query(extra = {}) {
  const asked = new URLSearchParams();
  const time = state.range === "own" ? { since: state.since, until: state.until } : { range: state.range };
  const { account, trunk, direction } = state;
  for (const [name, value] of Object.entries({ ...time, account, trunk, direction, ...extra })) {
    if (value) asked.set(name, value);
  }
  return asked;
}

async function get(path, parameters) {
  const response = await fetch(`/api/${path}?${parameters}`, { cache: "no-store" });
  if (response.status === 403) throw new Error("start the command again, and open its new address");
  const body = await response.json();
  if (!response.ok) throw new Error(body.error);
  return body;
}

async function refresh() {
  const number = ++asked;
  try {
    const fresh = await get("data", query());
    if (number !== asked) return; // another choice was made since
    answer = fresh;
    received = Date.now();
    say("");
    show();
  } catch (error) {
    if (number !== asked) return;
    const away = error instanceof TypeError ? "the dashboard does not answer; trying again" : error.message;
    say(away);
  }
}

function say(text) {
  at("banner").hidden = !text;
  if (at("banner").textContent !== text) at("banner").textContent = text;
}

async function explain() {
  try {
    const { verdict, summary, evidence } = await get("explain", query({ range: "" }));
    at("explained").hidden = verdict === "too few";
    at("verdict").textContent = summary;
    at("evidence").replaceChildren(...evidence.map((line) => element("li", line)));
  } catch {
    at("explained").hidden = true; // the banner says why, from the other questions
  }
}

async function poll() {
  const begun = performance.now();
  if (!state.paused && !document.hidden) {
    await refresh();
    if (!isGrowing() && begun - explained >= EXPLAIN_SECONDS * 1000) {
      explained = begun;
      explain();
    }
  }
  setTimeout(poll, pause(performance.now() - begun));
}

// What takes long to answer is asked for less often: the sync goes on beside it.
function pause(took) {
  return isGrowing() ? Math.min(SECONDS * 1000, Math.max(GROWING_SECONDS * 1000, 3 * took)) : SECONDS * 1000;
}

function isGrowing() {
  return answer !== null && answer.foot.syncs.some(isReading);
}

function isReading(sync) {
  return Number.isInteger(sync.syncing_rows); // null: it is idle
}

// --- showing ---

function show() {
  showChoices();
  showTiles();
  const { since, until, series, options } = answer;
  for (const chart of charts) chart.show({ ...series, since, until, few: options.few });
  const step = series.step_hours;
  charts[0].note.textContent = `each bar ${step === 1 ? "an hour" : `${step} hours`}; a click lists the calls`;
  showTrunks();
  showAccounts();
  showSlowest();
  showFoot();
  showFreshness();
}

function several() {
  return answer.accounts.length > 1 || new Set(answer.trunk_names.map((trunk) => trunk.account)).size > 1;
}

function trunkName(account, id) {
  const known = answer.trunk_names.find((trunk) => trunk.account === account && trunk.id === id);
  return (known && known.name) || id || "no trunk";
}

function provider(account, id) {
  const known = answer.trunk_names.find((trunk) => trunk.account === account && trunk.id === id);
  return (known && known.provider) || "";
}

function showChoices() {
  const accounts = [...new Set([
    ...answer.foot.syncs.map((sync) => sync.account), ...answer.trunk_names.map((trunk) => trunk.account),
  ])].sort();
  at("account").parentElement.hidden = accounts.length < 2;
  fill(at("account"), accounts.map((name) => [name, accountName(name)]), state.account);
  const trunks = answer.trunk_names.filter((trunk) => !state.account || trunk.account === state.account);
  const named = trunks.map((trunk) => [trunk.id, trunk.name || trunk.id]);
  if (state.trunk && !named.some(([id]) => id === state.trunk)) named.push([state.trunk, state.trunk]);
  fill(at("trunk"), named, state.trunk);
  at("direction").value = state.direction;
  for (const button of document.querySelectorAll("[data-range]")) {
    button.setAttribute("aria-pressed", button.dataset.range === state.range);
  }
}

function fill(select, pairs, chosen) {
  const wanted = JSON.stringify(pairs);
  if (select.dataset.filled !== wanted) {
    const options = [["", "all"], ...pairs].map(([value, text]) => element("option", text, { value }));
    select.replaceChildren(...options);
    select.dataset.filled = wanted;
  }
  select.value = chosen;
}

const TILES = [
  ["calls", "calls", 0, "", 0],
  ["success_percent", "success", 1, " %", 1],
  ["ai_p50_ms", "AI latency p50", 0, " ms", -1],
  ["ai_p95_ms", "AI latency p95", 0, " ms", -1],
  ["carrier_p95_ms", "carrier lag p95", 0, " ms", -1],
  ["above_limit", "AI latency above", 0, "", -1],
];

function showTiles() {
  at("tiles").replaceChildren(...TILES.map(([name, title, digits, unit, good]) => {
    const { value, change, calls } = answer.tiles[name];
    const few = name.endsWith("_ms") && calls < answer.options.few;
    const figure = element("dd", `${number(value, digits)}${value === null ? "" : unit}`, {
      className: few ? "few" : "", "data-tile": name,
    });
    const better = change && good ? (Math.sign(change) === good ? " better" : " worse") : "";
    const sign = change > 0 ? "+" : change < 0 ? "−" : "±";
    const text = change === null ? "no period before" : `${sign}${number(Math.abs(change), digits)}${unit}`;
    figure.append(element("span", few ? `of ${calls} calls only` : text, { className: `change${few ? "" : better}` }));
    const pair = element("div");
    pair.append(element("dt", name === "above_limit" ? `${title} ${number(answer.options.ai_limit_ms)} ms` : title), figure);
    return pair;
  }));
  at("compared").textContent = answer.comparable
    ? `Changes: the ${answer.hours_compared} hours that have ended, against the ${answer.hours_compared} before them.`
    : "The hours before are not synced, so that there is nothing to compare with.";
}

function groupColumns(isTrunk) {
  const cell = (title, value, text, more = {}) => ({ title, value, text, ...more });
  const name = (row) => (isTrunk ? trunkName(row.account, row.trunk) : accountName(row.account));
  const few = (row) => (row.few ? "few" : "");
  const slow = (row) => (row.few ? "few" : row.p95 > answer.options.ai_limit_ms ? "bad" : "");
  return [
    cell(isTrunk ? "trunk" : "account", name, name, {
      textual: true, button: (row) => choose(isTrunk, row), plain: (row) => !row[isTrunk ? "trunk" : "account"],
    }),
    ...(isTrunk && several()
      ? [cell("account", (row) => row.account, (row) => accountName(row.account), { textual: true, wide: true })] : []),
    ...(isTrunk
      ? [cell("provider", (row) => provider(row.account, row.trunk), undefined, { textual: true, wide: true })] : []),
    cell("calls", (row) => row.calls, (row) => number(row.calls)),
    cell("failed", (row) => row.failed_percent, (row) => `${number(row.failed_percent, 1)} %`),
    cell("above limit", (row) => row.above_percent, (row) => number(row.above_limit), { wide: true }),
    cell("p50", (row) => row.p50, (row) => number(row.p50), { className: few }),
    cell("p95", (row) => row.p95, (row) => number(row.p95), { className: slow }),
    cell("last call", (row) => row.last, (row) => moment(unix(row.last)), { wide: true }),
  ];
}

function choose(isTrunk, row) {
  const same = isTrunk ? state.trunk === row.trunk : state.account === row.account;
  Object.assign(state, isTrunk ? { trunk: same ? "" : row.trunk } : { account: same ? "" : row.account, trunk: "" });
  changed();
}

function sortable(name, columns, rows, caption, chosen) {
  const onSort = (sort) => {
    state.sorts[name] = sort;
    show();
  };
  const made = rows.length
    ? table(columns, rows, { caption, sort: state.sorts[name], onSort, chosen })
    : element("p", "no calls in this time", { className: "empty" });
  replace(at(name), made);
}

function showTrunks() {
  const chosen = (row) => state.trunk && state.trunk === row.trunk;
  sortable("trunks", groupColumns(true), answer.trunks, "Trunks", chosen);
}

function showAccounts() {
  at("accounts-section").hidden = answer.accounts.length < 2;
  sortable("accounts", groupColumns(false), answer.accounts, "Accounts", (row) => state.account && state.account === row.account);
}

function callColumns() {
  return [
    { title: "call", value: (call) => call.id, button: openCall, textual: true },
    { title: `start (${zoneName()})`, value: (call) => call.start_time, text: (call) => moment(unix(call.start_time)) },
    { title: "status", value: (call) => call.status, className: (call) => (call.status === "failed" ? "bad" : ""), textual: true },
    { title: "AI", value: (call) => call.ai_latency_ms, text: (call) => number(call.ai_latency_ms) },
    { title: "carrier", value: (call) => call.carrier_lag_ms, text: (call) => number(call.carrier_lag_ms), wide: true },
    { title: "trunk", value: (call) => trunkName(call.account, call.trunk_id), wide: true, textual: true, className: () => "name" },
  ];
}

function showSlowest() {
  const rows = answer.slowest;
  const made = rows.length
    ? table(callColumns(), rows, { caption: "Slowest calls" })
    : element("p", "no calls in this time", { className: "empty" });
  replace(at("slowest"), made);
}

function showFoot() {
  const time = (text) => (text ? moment(unix(text)) : "–");
  const columns = [
    { title: "sync", value: (sync) => accountName(sync.account) },
    { title: `complete from (${zoneName()})`, value: (sync) => time(sync.complete_since), wide: true },
    { title: "up to", value: (sync) => time(sync.complete_until) },
    { title: "last sync", value: (sync) => time(sync.synced_at) },
    { title: "now", value: (sync) => sync.error || (isReading(sync) ? `reading, ${number(sync.syncing_rows)} rows` : "idle") },
    { title: "rate limit", value: (sync) => (sync.limit ? `${number(sync.limit - sync.remaining)} of ${number(sync.limit)}` : "–"), wide: true },
    { title: "waits", value: (sync) => number(sync.waits ?? null), wide: true },
  ];
  at("syncs").replaceChildren(table(columns, answer.foot.syncs, { caption: "Sync and rate limit" }));
  const { jobs, jobs_error: fault } = answer.foot;
  if (fault) at("jobs").textContent = `Workers' jobs: ${fault}`;
  if (!jobs) return;
  const jobColumns = ["account", "job", "state"].map((name) => ({ title: name, value: (job) => job[name] }));
  jobColumns.push(
    { title: "last success", value: (job) => time(job.last_success) },
    { title: "next run", value: (job) => time(job.next_run) },
    { title: "error", value: (job) => job.error || "" },
  );
  at("jobs").replaceChildren(table(jobColumns, jobs, { caption: "Workers' jobs" }));
}

function showFreshness() {
  if (!answer) return;
  const now = answer.now + (Date.now() - received) / 1000;
  const synced = answer.foot.syncs.filter((sync) => sync.synced_at);
  const box = at("freshness");
  if (!synced.length) {
    box.textContent = isGrowing() ? "first sync under way" : "nothing synced yet";
    box.className = "";
    return;
  }
  const oldest = Math.min(...synced.map((sync) => unix(sync.synced_at)));
  const until = synced.map((sync) => unix(sync.complete_until)).filter(Boolean);
  const complete = until.length === synced.length ? `complete up to ${parts(Math.min(...until)).time}, ` : "not complete yet, ";
  box.textContent = `${complete}synced ${ago(now - oldest)}`;
  const bound = Math.max(60, 3 * (answer.options.sync_seconds ?? 300));
  box.className = now - oldest > bound || answer.foot.syncs.some((sync) => sync.error) ? "stale" : "";
}

// --- dialogs ---

async function openBar(index) {
  const { times, ends } = answer.series;
  const [since, until] = [times[index], ends[index]].map((seconds) => new Date(seconds * 1000).toISOString());
  at("hour-title").textContent = `Calls from ${moment(times[index])} to ${parts(ends[index]).time} ${zoneName()}`;
  at("hour-calls").replaceChildren(element("p", "reading …", { className: "empty" }));
  at("hour-dialog").showModal();
  try {
    const { calls, more } = await get("calls", query({ range: "", since, until }));
    const made = calls.length
      ? [table(callColumns(), calls, { caption: "Calls" })]
      : [element("p", "no calls in this time", { className: "empty" })];
    if (more) made.push(element("p", `only the newest ${calls.length} are shown`, { className: "note" }));
    at("hour-calls").replaceChildren(...made);
  } catch (error) {
    at("hour-calls").replaceChildren(element("p", error.message, { className: "empty" }));
  }
}

async function openCall(call) {
  at("call-title").textContent = call.id;
  at("call-body").replaceChildren(element("p", "reading …", { className: "empty" }));
  at("call-dialog").showModal();
  try {
    const found = await get("call", new URLSearchParams({ account: call.account, id: call.id }));
    at("call-body").replaceChildren(...callBody(found, trunkName(call.account, call.trunk_id)));
  } catch (error) {
    at("call-body").replaceChildren(element("p", error.message, { className: "empty" }));
  }
}

// --- choices ---

function changed() {
  if (answer) showChoices();
  refresh();
  explain();
}

for (const name of ["account", "trunk", "direction"]) {
  at(name).addEventListener("change", (event) => {
    state[name] = event.target.value;
    if (name === "account") state.trunk = "";
    changed();
  });
}
for (const button of document.querySelectorAll("[data-range]")) {
  button.addEventListener("click", () => {
    const own = button.dataset.range === "own";
    at("own").hidden = !own || !at("own").hidden;
    document.querySelector("[data-range=own]").setAttribute("aria-expanded", String(!at("own").hidden));
    if (own) return prefill();
    state.range = button.dataset.range;
    changed();
  });
}
function prefill() {
  if (!answer || at("since").value) return;
  for (const name of ["since", "until"]) {
    const { day, time } = parts(Math.min(answer[name], answer.now));
    at(name).value = `${day}T${time.slice(0, 2)}:00`;
  }
}

at("own").addEventListener("submit", (event) => {
  event.preventDefault();
  const typed = (id) => new Date(view.local ? at(id).value : `${at(id).value}Z`).toISOString();
  Object.assign(state, { range: "own", since: typed("since"), until: typed("until") });
  changed();
});
at("pause").addEventListener("click", () => {
  state.paused = !state.paused;
  at("pause").setAttribute("aria-pressed", state.paused);
  at("pause").textContent = state.paused ? "Go on" : "Pause";
  if (!state.paused) refresh();
});
at("zone").addEventListener("click", () => {
  view.local = !view.local;
  at("zone").setAttribute("aria-pressed", view.local);
  at("zone").textContent = zoneName();
  if (answer) show();
});
for (const button of document.querySelectorAll("dialog .close")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((chart) => chart.rebuild()));
document.addEventListener("visibilitychange", () => { if (!document.hidden && !state.paused) refresh(); });
setInterval(showFreshness, 1000);
poll();
