/* Check my place: which published zones a place meets and how far the nearest things are, offline, to the precision of what is published. */
const ROUNDING_M = 0.1;      // of this arithmetic, with room
const SHIFTED_M = 10;        // 高德 and 百度 coordinates come back by formulas that nobody publishes
const GRID = 15;
const areaRadius = Math.sqrt(data.sliver_m2 / Math.PI) + ROUNDING_M;

function placeOf(ring, extra_m = 0) {   // one vertex is a point, three or more a polygon
  const isArea = ring.length > 1;
  const closed = isArea ? [...ring, ring[0]] : ring;
  const lines = [planar(closed)];
  return { isArea, ring, lines, extra_m, shape: { kind: isArea ? 2 : 0, parts: isArea ? [[closed]] : [closed], lines: [closed], box: boxOf([closed]) } };
}
const planeBoxes = new Map();
function planeBox(feature) {
  if (!planeBoxes.has(feature)) planeBoxes.set(feature, boxOf(planesOf(feature).map(({ xy }) => xy)));
  return planeBoxes.get(feature);
}
const apartBoxes = (a, b) => Math.hypot(Math.max(0, a[0] - b[2], b[0] - a[2]), Math.max(0, a[1] - b[3], b[1] - a[3]));
function edgesCross(first, second) {
  for (const { xy: a } of first) for (const { xy: b } of second) {
    for (let i = 1; i < a.length; i++) for (let j = 1; j < b.length; j++) if (crosses(a[i - 1], a[i], b[j - 1], b[j])) return true;
  }
  return false;
}
// How a place lies to a feature: in, out, unsure (within the precision) or perhaps (the feature is somewhere in its shape);
// the distance is at least low and at most high.
function relation(place, feature, precision) {
  const outline = planesOf(feature), rings = outline.map(({ xy }) => xy), isArea = feature.shape.kind === 2;
  const [away, here, there] = nearestPair(place.lines, outline);
  const touching = isArea || place.isArea ? place.lines[0].xy.some((at) => isArea && insideRings(at, rings))
    || (place.isArea && (rings[0].some((at) => insideRings(at, [place.lines[0].xy])) || edgesCross(place.lines, outline))) : false;
  const metres = touching ? 0 : geodesic_m(here, there);
  const out = { feature, metres, at: there, low: Math.max(0, metres - precision), high: metres + precision };
  if (feature.adrift) {
    const farthest = Math.max(...feature.shape.lines.flat().map((end) => { const pair = nearestPair(place.lines, [planar([end])]); return geodesic_m(pair[1], pair[2]); }));
    return { ...out, high: farthest + precision, state: out.low > 0 ? "out" : "perhaps" };
  }
  if (!isArea) return { ...out, state: "out" };
  if (!touching) return { ...out, state: away > precision ? "out" : "unsure" };
  const sure = place.isArea ? surelyShares(place, outline, precision, feature) : away > precision;
  return { ...out, metres: 0, low: 0, high: sure ? 0 : precision, state: sure ? "in" : "unsure" };
}
// Whether more than a sliver of the place is in the feature whatever the precision: some circle of it is well inside both.
function surelyShares(place, outline, precision, feature) {
  const rings = outline.map(({ xy }) => xy), own = place.lines[0].xy, box = boxOf([own]);
  const within = rings.every((ring) => ring.every((at) => insideRings(at, [own])));
  if (within && !edgesCross(place.lines, outline) && nearestPair(place.lines, outline)[0] > precision && feature.shape.parts.length === 1) return true;
  const deep = (at, reach) => insideRings(at, rings) && nearestPair([{ xy: [at], lonlat: [at] }], outline)[0] > precision + reach;
  for (let i = 0; i <= GRID; i++) for (let j = 0; j <= GRID; j++) {
    const at = [box[0] + (box[2] - box[0]) * (i + 0.5) / (GRID + 1), box[1] + (box[3] - box[1]) * (j + 0.5) / (GRID + 1)];
    if (insideRings(at, [own]) && nearestPair([{ xy: [at], lonlat: [at] }], place.lines)[0] > areaRadius && deep(at, areaRadius)) return true;
  }
  return false;
}
// How deep a place is within the polygons of a layer, in m; negative outside.
function depth(place, layer) {
  return Math.max(-Infinity, ...layer.features.map((feature) => {
    const outline = planesOf(feature), rings = outline.map(({ xy }) => xy), own = place.lines[0];
    const inside = own.xy.map((at) => insideRings(at, rings));
    if (inside.every(Boolean) && !(place.isArea && edgesCross(place.lines, outline))) return nearestPair(place.lines, outline)[0];
    const outer = own.xy.map((at, i) => (inside[i] ? 0 : nearestPair([{ xy: [at], lonlat: [at] }], outline)[0]));
    return -Math.max(...outer) - (place.isArea ? EDGE_M / 2 : 0);
  }));
}
function covered(place, layer, reach) {   // whether the layer would know of something within so many metres
  const { layer: id, beyond_m, known } = layer.coverage;
  if (!known) return "no";
  if (id === null) return "yes";
  const cover = layerOf.get(id)?.layer;
  if (!cover || cover.precision_m === null) return "no";
  place.depths ??= new Map();
  if (!place.depths.has(cover)) place.depths.set(cover, depth(place, cover));
  const slack = cover.precision_m + ROUNDING_M + place.extra_m, left = place.depths.get(cover) + beyond_m - reach;
  return left > slack ? "yes" : left > -slack && beyond_m === 0 ? "unsure" : "no";
}
function checkLayer(place, layer) {
  const precision = layer.precision_m + ROUNDING_M + place.extra_m, mine = boxOf([place.lines[0].xy]);
  const near = layer.features.map((feature) => ({ feature, apart: apartBoxes(mine, planeBox(feature)) })).sort((a, b) => a.apart - b.apart);
  const found = [];
  let best = Infinity;
  for (const { feature, apart } of near) {
    // What is farther than the nearest can matter only to rules that keep some of the features.
    found.push(apart > best + 2 * precision && apart > precision && !feature.adrift
      ? { feature, metres: null, apart, state: "out" } : relation(place, feature, precision));
    best = Math.min(best, found.at(-1).metres ?? Infinity);
  }
  const states = new Map(found.map((one) => [one.feature.at, one]));
  const met = found.filter(({ state }) => state === "in"), open = found.filter(({ state }) => state === "unsure" || state === "perhaps");
  const nearest = found.filter(({ metres, feature }) => metres !== null && !feature.adrift).sort((a, b) => a.metres - b.metres)[0] ?? null;
  const cover = covered(place, layer, 0);
  const isArea = layer.kind === "polygon";
  const state = met.length ? "meets" : open.length && isArea ? "unsure" : cover === "yes" ? "apart" : cover === "unsure" ? "unsure" : "nodata";
  const nearer = !met.length && (nearest === null || covered(place, layer, nearest.high) !== "yes");
  return { layer, state: isArea || state === "nodata" ? state : "distance", met, open, nearest, nearer, states, precision };
}
function checkRule(place, rule, found) {
  const overlap = rule.measure.startsWith("overlap") && rule.op === ">" && rule.limit === 0;
  const near = rule.measure === "distance_m" && (rule.op === "<=" || rule.op === "<");
  if (!found || found.layer.precision_m === null) return "nodata";
  if (!overlap && !near) return "depends";
  const of = (at) => {
    const one = found.states.get(at);
    if (near && one.metres === null) {   // its box was too far to be the nearest of all; here it may be the nearest kept
      if (one.apart > rule.limit * 1.001 + found.precision) return { ...one, low: one.apart, high: Infinity };
      const now = relation(place, one.feature, found.precision);
      found.states.set(at, now);
      return now;
    }
    return one;
  };
  const every = found.layer.features.map((_, at) => at);
  const kept = (rule.kept ?? every).map(of), perhaps = rule.perhaps.map(of);
  const yes = (one) => (near ? one.high <= rule.limit : one.state === "in");
  const maybe = (one) => (near ? one.low <= rule.limit : one.state !== "out");
  if (kept.some(yes)) return "met";
  if ([...kept, ...perhaps].some(maybe)) return "unsure";
  const cover = covered(place, found.layer, near ? rule.limit : 0);
  return cover === "yes" ? "not" : cover === "unsure" ? "unsure" : "nodata";
}
function checkPlace(ring, extra_m = 0) {
  const place = placeOf(ring, extra_m);
  const found = data.layers.filter((layer) => layer.precision_m !== null).map((layer) => checkLayer(place, layer));
  const byLayer = new Map(found.map((one) => [one.layer.id, one]));
  return { place, layers: found, rules: data.rules.map((rule) => ({ rule, state: checkRule(place, rule, byLayer.get(rule.layer)) })) };
}

/* ---- coordinates as people write them ---- */
function parsePlace(text) {
  const clean = text.trim().replace(/[，]/g, ",").replace(/[；\n]/g, ";").replace(/[（）()]/g, " ");
  const ring = clean.split(";").filter((part) => part.trim()).map(parsePair);
  return ring.length && ring.every(Boolean) && ring.length !== 2 ? ring : null;
}
function parsePair(text) {
  const angle = /([NSEW东西南北]?)\s*(-?\d+(?:\.\d+)?)\s*(?:[°度]\s*(?:(\d+(?:\.\d+)?)\s*['′分]\s*)?(?:(\d+(?:\.\d+)?)\s*(?:["″秒]|'')\s*)?)?\s*([NSEW东西南北]?)/gi;
  const found = [...text.matchAll(angle)].map(([, before, whole, minutes = 0, seconds = 0, after]) => {
    const value = Number(whole) + Math.sign(Number(whole) || 1) * (Number(minutes) / 60 + Number(seconds) / 3600);
    const letter = (before || after).toUpperCase();
    return { value: /[SW西南]/.test(letter) ? -value : value, axis: /[EW东西]/.test(letter) ? 0 : /[NS南北]/.test(letter) ? 1 : null };
  });
  if (found.length !== 2 || /[^\d.\s,°度'′分"″秒NSEWnsew东西南北经纬-]/.test(text)) return null;
  let [a, b] = found;
  if (a.axis === 1 || b.axis === 0 || (a.axis === null && b.axis === null && Math.abs(a.value) <= 60 && Math.abs(b.value) > 60)) [a, b] = [b, a];
  return Math.abs(a.value) <= 180 && Math.abs(b.value) <= 90 && Math.abs(a.value) > 60 ? [a.value, b.value] : null;
}
function fromDatum(ring, datum) {   // what 高德 and 百度 show is shifted by some 500 m
  return datum === "cgcs2000" ? ring : ring.map((at) => gcoord.transform(at, datum === "gcj02" ? gcoord.GCJ02 : gcoord.BD09, gcoord.WGS84));
}

/* ---- the answer ---- */
const STATE_ORDER = ["meets", "unsure", "nodata", "distance", "apart"];
function tell(result) {
  const { place, layers: found, rules } = result;
  const names = (list) => list.filter(({ feature: { layer, id } }) => layer.named || id !== null).map(({ feature }) => feature.label).filter((name, i, all) => all.indexOf(name) === i).join(say("and"));
  const isExtent = (layer) => !layer.zone && data.layers.some(({ coverage }) => coverage.layer === layer.id) && !data.rules.some((rule) => rule.layer === layer.id);
  const ordered = found.filter(({ layer }) => !isExtent(layer)).sort((a, b) => STATE_ORDER.indexOf(a.state) - STATE_ORDER.indexOf(b.state));
  const body = node("tbody");
  for (const one of ordered) {
    const near = one.nearest && one.state !== "meets" && !one.layer.zone
      ? say(one.nearer ? "check_near_known" : "check_near", { name: one.nearest.feature.label, distance: length(one.nearest.metres), precision: number(one.precision, 0) }) : "";
    const detail = one.met.length ? names(one.met) : one.open.length ? names(one.open) : "";
    body.append(node("tr", { class: one.state }, node("th", { scope: "row" }, one.layer.title),
      node("td", {}, node("b", {}, say(`check_state.${one.state}`)), detail ? say("colon") + detail : "", near ? node("div", { class: "fine" }, near) : null,
        one.state === "unsure" ? node("div", { class: "fine" }, say("check_unsure_why", { precision: number(one.precision, 0) })) : null)));
  }
  for (const { title, why } of data.absent) {
    body.append(node("tr", { class: "nodata" }, node("th", { scope: "row" }, title), node("td", {}, node("b", {}, say("check_state.nodata")), say("colon") + say(`absent.${why}`))));
  }
  const asked = rules.filter(({ state }) => state === "met" || state === "unsure");
  const list = node("ul", { class: "plain" });
  for (const { rule, state } of asked) {
    list.append(node("li", {}, goButton(rule.id, () => openRule(rule)), ` ${words("verdict", rule.effect)} · ${say(`check_rule.${state}`)}`,
      node("p", {}, rule.says), node("p", { class: "fine" }, `${rule.who || say("rule_everybody")} · ${rule.basis}`)));
  }
  const where = place.ring.map(([lon, lat]) => `${lon.toFixed(5)}, ${lat.toFixed(5)}`).join("; ");
  const answer = byId("check-answer");
  answer.replaceChildren(
    node("p", { class: "warn" }, say("check_not_legal")),
    node("p", {}, say(place.isArea ? "check_area" : "check_point", { where, area: place.isArea ? areas(geodesicArea_m2(place.ring)) : "" })),
    node("table", { "aria-label": say("check_table") }, node("thead", {}, node("tr", {}, node("th", { scope: "col" }, say("layer")), node("th", { scope: "col" }, say("check_answer")))), body),
    asked.length ? node("h3", {}, say("check_rules")) : "", asked.length ? list : "",
    node("p", { class: "fine" }, say("check_precision")), place.extra_m ? node("p", { class: "fine" }, say("check_shifted", { metres: SHIFTED_M })) : "");
  const counts = (state) => found.filter((one) => one.state === state).length;
  announce(say("check_said", { meets: counts("meets"), unsure: counts("unsure"), nodata: counts("nodata") + data.absent.length, apart: counts("apart") }));
}
let asked = null;
function ask(ring, { datum = "cgcs2000", move = true } = {}) {
  const moved = fromDatum(ring, datum);
  const result = checkPlace(moved, datum === "cgcs2000" ? 0 : SHIFTED_M);
  asked = moved;
  tell(result);
  pointOut([result.place.shape]);
  if (move) map.fitBounds(boundsOf(result.place.shape.box).pad(0.3), { maxZoom: 15, animate: false });
  remember();
  return result;
}
function readPlace() {
  const ring = parsePlace(byId("place").value), box = byId("check-answer");
  if (!ring) {
    box.replaceChildren(node("p", { class: "warn" }, say("check_unread")));
    announce(say("check_unread"));
    return;
  }
  ask(ring, { datum: byId("datum").value });
  box.scrollIntoView({ block: "nearest" });
}
if (byId("check")) {
  byId("check").append(node("div", { class: "buttons" }, button(say("check_do"), readPlace, { class: "plain-button" }),
    button(say("check_pick"), () => pick("point"), { class: "plain-button" }), button(say("check_draw"), () => pick("area"), { class: "plain-button" })),
  node("div", { id: "check-answer", tabindex: "-1" }));
  byId("place").addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); readPlace(); } });
}
