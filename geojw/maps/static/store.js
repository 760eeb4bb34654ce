/* What the page holds: shapes as steps of a grid, sites as rows, findings as numbers of lists. */
const scale = 10 ** data.packing.decimals;
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const digitOf = new Uint8Array(128);
for (let i = 0; i < DIGITS.length; i++) digitOf[DIGITS.charCodeAt(i)] = i;
// A line as text: five bits of a number a character, the lowest first, the sign the lowest of all; each vertex from the one before.
function unpacked(text, closed, x = 0, y = 0) {
  let at = 0;
  const step = () => {
    let bits = 0, shift = 0, digit;
    do {
      digit = digitOf[text.charCodeAt(at++)];
      bits |= (digit & 31) << shift;
      shift += 5;
    } while (digit & 32);
    return (bits >>> 1) ^ -(bits & 1);
  };
  x += data.packing.west;
  y += data.packing.south;
  const line = [];
  while (at < text.length) {
    x += step();
    y += step();
    line.push([x / scale, y / scale]);
  }
  if (closed) line.push(line[0]);
  return line;
}
// kind 2: parts are lists of rings; kind 1: lines; kind 0: points as lines of one vertex. Vertices are [lon, lat].
function shapeOf(packed, x, y) {
  if (!packed) return null;
  const kind = Number(packed[0]), texts = packed.slice(1).split(";");
  const made = { kind, parts: kind === 2 ? texts.map((part) => part.split(",").map((ring) => unpacked(ring, true, x, y))) : texts.map((line) => unpacked(line, false, x, y)) };
  made.lines = kind === 2 ? made.parts.flat() : made.parts;
  made.box = boxOf(made.lines);
  return made;
}
function boxOf(lines) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (const line of lines) {
    for (const [x, y] of line) {
      if (x < box[0]) box[0] = x;
      if (y < box[1]) box[1] = y;
      if (x > box[2]) box[2] = x;
      if (y > box[3]) box[3] = y;
    }
  }
  return box;
}
const boundsOf = ([x0, y0, x1, y1]) => L.latLngBounds([y0, x0], [y1, x1]);
const flip = (line) => line.map(([lon, lat]) => [lat, lon]);
function geojson({ kind, parts }) {
  if (kind === 2) return parts.length === 1 ? { type: "Polygon", coordinates: parts[0] } : { type: "MultiPolygon", coordinates: parts };
  if (kind === 1) return parts.length === 1 ? { type: "LineString", coordinates: parts[0] } : { type: "MultiLineString", coordinates: parts };
  const points = parts.map(([at]) => at);
  return points.length === 1 ? { type: "Point", coordinates: points[0] } : { type: "MultiPoint", coordinates: points };
}
function pathOf(shape, options) {
  if (shape.kind === 2) return L.polygon(shape.parts.map((rings) => rings.map(flip)), options);
  if (shape.kind === 1) return L.polyline(shape.parts.map(flip), options);
  return L.featureGroup(shape.parts.map(([[lon, lat]]) => L.circleMarker([lat, lon], { radius: 5, ...options })));
}

const layerTitles = new Map([...data.layers, ...data.absent].map((layer) => [layer.id, layer.title]));
const ruleOf = new Map(data.rules.map((rule) => [rule.id, rule]));
data.layers.forEach((layer) => layer.features.forEach((feature, at) => {
  feature.at = at;
  feature.layer = layer;
  feature.shape = shapeOf(feature.geometry);
}));

const said = data.sites.said.map((row) => Object.fromEntries(data.sites.said_columns.map((column, at) => [column, row[at]])));
const sites = data.sites.rows.map(([id, x, y, geometry, name, area_m2, number], index) => ({ index, id, name, area_m2, ...said[number],
  shape: shapeOf(geometry, x, y), at: [(y + data.packing.south) / scale, (x + data.packing.west) / scale] }));
const placed = sites.filter((site) => site.shape);

const columns = new Map((data.findings.columns ?? []).map((name, index) => [name, index]));
const decoded = (names, row) => Object.fromEntries(names.map((name, at) =>
  [name, row[at] === null || row[at] === undefined ? null : data.findings.numbers.includes(name) ? row[at] : data.findings.strings[row[at]]]));
const sameOfRule = new Map((data.findings.rules ?? []).map((row) => decoded(data.findings.rule_columns, row)).map((rule) => [rule.rule_id, rule]));
function findingsOf(site) {
  const found = data.findings;
  if (!data.rough) return found.rows[site.index].map((row) => decoded(found.columns, row)).map((one) => ({ ...sameOfRule.get(one.rule_id), ...one }));
  const pattern = found.patterns[found.of[site.index]], values = found.values[site.index] || [];
  const out = [];
  for (let i = 0, hit = 0; i < pattern.length; i += 2) {
    const rule = data.rules[pattern[i]], outcome = found.outcomes[pattern[i + 1]];
    const one = { rule_id: rule.id, layer: rule.layer, outcome, effect: rule.effect, measure: rule.measure, op: rule.op, limit: rule.limit, says: rule.says, basis: rule.basis };
    if (outcome === "hit") {
      one.value = values[2 * hit];
      one.margin = values[2 * hit + 1];
      one.margin_unit = UNITS[rule.measure];
      hit += 1;
    }
    out.push(one);
  }
  return out;
}
// rule -> [numbers of sites that it hits, numbers of sites for which it is open]
const UNKNOWN = ["no_coverage", "source_failed", "not_evaluable", "withheld"];
const sitesOfRule = new Map(data.rules.map((rule) => [rule.id, { hit: [], unknown: [], decided: [] }]));
function countRules() {
  const note = (site, id, outcome) => {
    const one = sitesOfRule.get(id);
    if (one && outcome === "hit") one.hit.push(site.index);
    if (one && UNKNOWN.includes(outcome)) one.unknown.push(site.index);
  };
  const found = data.findings;
  for (const site of sites) {
    for (const id of (site.decided_by ?? "").split(";")) sitesOfRule.get(id)?.decided.push(site.index);
    if (data.rough) {
      const pattern = found.patterns[found.of[site.index]];
      for (let i = 0; i < pattern.length; i += 2) note(site, data.rules[pattern[i]].id, found.outcomes[pattern[i + 1]]);
    } else {
      for (const row of found.rows[site.index]) note(site, found.strings[row[columns.get("rule_id")]], found.strings[row[columns.get("outcome")]]);
    }
  }
}
countRules();
