// One call in a dialog: where its time went, its turns, its SIP trace.

import { accountName, element, moment, number, unix, zoneName } from "./format.js";
import { table } from "./tables.js";

export function callBody({ call, details, why }, trunkName) {
  const nodes = [facts(call, details, trunkName)];
  if (why) nodes.push(element("p", `No more is known: ${why}.`, { className: "note" }));
  if (!details) return nodes;
  if (details.turns && details.turns.length) nodes.push(...turns(details.turns));
  if (details.timeline && details.timeline.length) nodes.push(timeline(details.timeline));
  if (details.sip_trace) {
    const holder = element("details");
    holder.append(element("summary", "SIP trace"), element("pre", details.sip_trace));
    nodes.push(holder);
  }
  return nodes;
}

function facts(call, details, trunkName) {
  const media = (details && details.metrics) || {};
  const ms = (value) => (value === null || value === undefined ? null : `${number(value)} ms`);
  const pairs = [
    ["Status", call.status],
    ["Reason", details && details.disconnect_reason],
    [`Start (${zoneName()})`, call.start_time && moment(unix(call.start_time), { withSeconds: true, year: true })],
    ["Duration", call.duration_seconds === null ? null : `${number(call.duration_seconds)} s`],
    ["Direction", call.direction],
    ["From", call.from_number],
    ["To", call.to_number],
    ["Trunk", trunkName],
    ["Account", accountName(call.account)],
    ["AI latency", ms(call.ai_latency_ms)],
    ["Carrier lag", ms(call.carrier_lag_ms)],
    ["Gateway", ms(call.gateway_processing_ms)],
    ["Codec", media.codec_used],
    ["Packet loss", media.packet_loss_percent === undefined || media.packet_loss_percent === null
      ? null : `${number(media.packet_loss_percent, 2)} %`],
    ["Jitter", media.jitter_ms === undefined || media.jitter_ms === null
      ? null : `${number(media.jitter_ms, 1)} ms`],
  ];
  const list = element("dl", null, { className: "facts" });
  for (const [name, value] of pairs) {
    if (value === null || value === undefined || value === "") continue;
    const pair = element("div");
    pair.append(element("dt", name), element("dd", value));
    list.append(pair);
  }
  return list;
}

function turns(rows) {
  const total = rows.reduce((sum, turn) => sum + (turn.duration_ms || 0), 0) || 1;
  const lanes = element("div", null, { className: "lanes", "aria-hidden": "true" });
  let begin = 0;
  for (const turn of rows) {
    const agent = turn.speaker === "agent";
    const colour = agent ? "bg-blue agent" : "bg-slate caller";
    lanes.append(bar(colour, begin, turn.duration_ms || 0, total));
    if (agent && turn.processing_time_ms) {
      lanes.append(bar("bg-amber thinking", begin, turn.processing_time_ms, total));
    }
    begin += turn.duration_ms || 0;
  }
  const axis = element("div", null, { className: "axis", "aria-hidden": "true" });
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    axis.append(element("span", `${number((share * total) / 1000)} s`));
  }
  const legend = element("div", null, { className: "legend" });
  for (const [name, label] of [["blue", "agent"], ["amber", "processing"], ["slate", "caller"]]) {
    const item = element("span");
    item.append(element("i", null, { className: `bg-${name}` }), label);
    legend.append(item);
  }
  const holder = element("details");
  const scroll = element("div", null, { className: "scroll" });
  scroll.append(table(
    [
      { title: "turn", value: (turn) => turn.turn_number },
      { title: "speaker", value: (turn) => turn.speaker },
      { title: "duration", value: (turn) => turn.duration_ms, text: (turn) => `${number(turn.duration_ms)} ms` },
      {
        title: "processing", value: (turn) => turn.processing_time_ms,
        text: (turn) => (turn.speaker === "agent" ? `${number(turn.processing_time_ms)} ms` : "–"),
      },
    ],
    rows, { caption: "Turns" },
  ));
  holder.append(element("summary", `${rows.length} turns as a table`), scroll);
  return [element("h3", "Turns"), legend, lanes, axis, holder];
}

function bar(className, begin, length, total) {
  const made = element("span", null, { className });
  made.style.left = `${(100 * begin) / total}%`;
  made.style.width = `${(100 * Math.min(length, total - begin)) / total}%`;
  return made;
}

function timeline(events) {
  const holder = element("details");
  const list = element("ul");
  for (const event of events) {
    const time = event.timestamp ? `${moment(unix(event.timestamp), { withSeconds: true })} ` : "";
    list.append(element("li", `${time}${event.event || event.type || ""}`));
  }
  holder.append(element("summary", `${events.length} events`), list);
  return holder;
}
