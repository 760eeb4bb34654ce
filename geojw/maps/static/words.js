/* Words, numbers and nodes. Every text of the data goes through textContent or setAttribute, never innerHTML. */
const data = JSON.parse(document.getElementById("screening").textContent);
const map = window.map_screening;
const byId = (id) => document.getElementById(id);
const styles = getComputedStyle(document.documentElement);
const colourOf = (verdict) => styles.getPropertyValue(`--v-${verdict}`).trim();
const inkOf = (verdict) => styles.getPropertyValue(`--v-${verdict}-ink`).trim();

function say(key, fields = {}) {
  return (data.texts[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => fields[name] ?? "");
}
function node(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}
function button(text, act, attributes = {}) {
  const made = node("button", { type: "button", ...attributes }, text);
  made.addEventListener("click", () => act(made));
  return made;
}
const goButton = (text, act) => button(text, act, { class: "go" });
const formats = new Map();   // to make one takes longer than to use it
function number(value, places) {
  // A small figure keeps three digits: a margin that is not 0 never reads 0.
  const small = value !== 0 && Math.abs(value) < 10 ** (1 - places);
  const key = small ? "small" : places;
  if (!formats.has(key)) formats.set(key, new Intl.NumberFormat(data.lang, small ? { maximumSignificantDigits: 3 } : { maximumFractionDigits: places }));
  return formats.get(key).format(value);
}
const PLACES = { m: 3, m2: 1, share: 4 };
const UNITS = { overlap_m2: "m2", overlap_m: "m", distance_m: "m", overlap_share: "share", cover_share: "share" };
function quantity(value, unit) {
  if (value === null || value === undefined || value === "") return "";
  if (typeof value !== "number") return String(value);
  if (unit === "share") return `${number(value * 100, PLACES.share)} %`;
  if (unit === "m2" && Math.abs(value) >= 1000) return areas(value);
  return unit in PLACES ? `${number(value, PLACES[unit])} ${say(`unit.${unit}`)}` : number(value, 3);
}
function areas(m2) {
  return say("areas", { m2: number(m2, 1), ha: number(m2 / 1e4, 4), mu: number(m2 * 3 / 2000, 3) });
}
function length(metres) {   // no grouping of digits: it is needed at once, and the first such format takes 20 ms
  const short = (value, places) => String(Number(value.toFixed(places)));
  return metres < 1000 ? `${short(metres, 0)} ${say("unit.m")}` : `${short(metres / 1000, metres >= 10000 ? 0 : 1)} ${say("unit.km")}`;
}
function words(kind, value) {
  return String(value ?? "").split(";").filter(Boolean).map((word) => data.texts[`${kind}.${word}`] ?? word).join(say("and"));
}
function rows(pairs) {
  const list = node("dl");
  for (const [key, value] of pairs) {
    if (value !== null && value !== undefined && value !== "") list.append(node("dt", {}, say(key)), node("dd", {}, String(value)));
  }
  return list;
}
function announce(text) { byId("status").textContent = text; }
const nameOf = (site) => site.name ?? site.id;
function verdictWords(site) {
  const word = words("verdict", site.verdict);
  if (site.verdict !== "undetermined") return word;
  return word + say("range", { least: words("verdict", site.at_least), most: words("verdict", site.at_most) });
}
function sentence(site) {
  const sure = site.certainty ? say("and") + words("certainty", site.certainty) : "";
  const by = site.decided_by ? say("sentence_by", { rules: words("rule", site.decided_by) }) : "";
  return say("sentence", { name: nameOf(site), verdict: verdictWords(site), sure, by });
}
function symbol(verdict, more = 0, chosen = false) {
  const made = node("span", { class: `symbol ${verdict}${chosen ? " selected" : ""}`, "aria-hidden": "true" }, say(`short.${verdict}`));
  if (more) made.append(node("span", { class: "more" }, more > 999 ? "+…" : `+${more}`));
  return made;
}
function save(name, kind, parts) {
  const link = node("a", { download: name, href: URL.createObjectURL(new Blob(parts, { type: kind })) });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
