// Numbers and times as people read them, and elements made of text alone.

export const view = { local: false };

export function element(tag, text, options = {}) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  for (const [name, value] of Object.entries(options)) {
    if (name === "className") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  return made;
}

export function number(value, digits = 0) {
  if (value === null || value === undefined) return "–";
  if (Math.abs(value) >= 1e12) return value.toExponential(1);
  return value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits });
}

export function parts(seconds) {
  const date = new Date(seconds * 1000);
  const get = (name) => (view.local ? date[`get${name}`]() : date[`getUTC${name}`]());
  const two = (value) => String(value).padStart(2, "0");
  return {
    day: `${get("FullYear")}-${two(get("Month") + 1)}-${two(get("Date"))}`,
    time: `${two(get("Hours"))}:${two(get("Minutes"))}`,
    second: two(get("Seconds")),
    midnight: get("Hours") === 0 && get("Minutes") === 0,
  };
}

export function moment(seconds, { withSeconds = false, year = false } = {}) {
  const { day, time, second } = parts(seconds);
  return `${year ? day : day.slice(5)} ${time}${withSeconds ? `:${second}` : ""}`;
}

export function zoneName() {
  return view.local ? Intl.DateTimeFormat().resolvedOptions().timeZone : "UTC";
}

export function unix(text) {
  return text ? Date.parse(text) / 1000 : null;
}

export function ago(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

export function accountName(name) {
  return /^[0-9a-f]{64}$/.test(name) ? `key ${name.slice(0, 8)}` : name;
}
