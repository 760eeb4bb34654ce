/* The layers, each in a pane of its own: the order never depends on the switches. */
const TINY_PX = 5;           // a polygon smaller than this on the screen is drawn as a dot
const FEW = 300;             // in a layer of more, dots would make a texture look larger than it is
const NAMES_FROM = 14, LABELS_FROM = 11.5, FULL_FROM = 11.5, DOTS_FROM = 10.5;   // zoom: names of sites, of features; full-size symbols and dots
const limits = L.latLngBounds(data.view);
placed.forEach((site) => limits.extend(site.at));

/* Shapes as canvas tiles, for what SVG would redraw too slowly. Nothing is left out at any zoom: what is smaller than two pixels is a dot. */
const worldX = (lon) => (lon + 180) / 360 * 256;
const worldY = (lat) => (1 - Math.log(Math.tan(Math.PI / 4 + lat * RADIAN / 2)) / Math.PI) / 2 * 256;
const BINS = 96;
const Shapes = L.GridLayer.extend({
  initialize(items, options) {
    L.setOptions(this, { tileSize: 512, updateWhenZooming: false, updateWhenIdle: false, keepBuffer: 1, ...options });
    this._items = items.map(({ shape, style, ref }) => {
      const [x0, y0, x1, y1] = shape.box;
      const lines = shape.lines.map((line) => Float64Array.from(line.flatMap(([lon, lat]) => [worldX(lon), worldY(lat)])));
      return { shape, style, ref, lines, box: [worldX(x0), worldY(y1), worldX(x1), worldY(y0)] };
    });
    const all = this._items.reduce((box, { box: b }) => [Math.min(box[0], b[0]), Math.min(box[1], b[1]), Math.max(box[2], b[2]), Math.max(box[3], b[3])], [Infinity, Infinity, -Infinity, -Infinity]);
    this._origin = [all[0], all[1]];
    this._bin = [Math.max((all[2] - all[0]) / BINS, 1e-9), Math.max((all[3] - all[1]) / BINS, 1e-9)];
    this._bins = new Map();
    this._items.forEach((item, number) => this._over(item.box, (key) => {
      if (!this._bins.has(key)) this._bins.set(key, []);
      this._bins.get(key).push(number);
    }));
  },
  _over([x0, y0, x1, y1], act) {
    const cell = (value, axis) => Math.max(0, Math.min(BINS, Math.floor((value - this._origin[axis]) / this._bin[axis])));
    for (let i = cell(x0, 0); i <= cell(x1, 0); i++) for (let j = cell(y0, 1); j <= cell(y1, 1); j++) act(i * (BINS + 1) + j);
  },
  _within(box) {
    const found = new Set();
    this._over(box, (key) => (this._bins.get(key) ?? []).forEach((number) => found.add(number)));
    return [...found].sort((a, b) => a - b).map((number) => this._items[number])
      .filter(({ box: b }) => b[0] <= box[2] && b[2] >= box[0] && b[1] <= box[3] && b[3] >= box[1]);
  },
  createTile({ x, y, z }) {
    const size = this.getTileSize().x, ratio = Math.min(2, window.devicePixelRatio || 1), zoom = 2 ** z;
    const tile = node("canvas", { width: size * ratio, height: size * ratio });
    const pen = tile.getContext("2d"), pad = 4 / zoom;
    const box = [x * size / zoom - pad, y * size / zoom - pad, (x + 1) * size / zoom + pad, (y + 1) * size / zoom + pad];
    pen.scale(ratio, ratio);
    const items = this._within(box), place = (u, v) => [u * zoom - x * size, v * zoom - y * size];
    if (this.options.one) paintAll(pen, items, this.options.one, place);
    else {
      for (const item of items) {
        const style = item.style(item.ref);
        if (style) stroke(pen, item, style, place);
      }
    }
    return tile;
  },
  at(latlng, px = 6) {   // the items under a place, the last drawn first
    const reach = px / 2 ** map.getZoom(), u = worldX(latlng.lng), v = worldY(latlng.lat);
    return this._within([u - reach, v - reach, u + reach, v + reach]).filter((item) => item.style(item.ref) && touches(item, u, v, reach)).reverse();
  },
});
function touches({ shape, lines }, u, v, reach) {
  const pairs = (flat) => Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);
  const paths = lines.map(pairs);
  if (shape.kind === 2 && insideRings([u, v], paths)) return true;
  return paths.some((path) => path.some((end, i) => nearestOnEdge([u, v], path[Math.max(0, i - 1)], end)[0] <= reach));
}
// Items of one look, filled together: where they overlap the colour is no darker (shells and holes run opposite ways).
function paintAll(pen, items, look, place) {
  pen.beginPath();
  items.forEach(({ shape, lines }) => { if (shape.kind === 2) trace(pen, lines, place); });
  pen.fillStyle = look.hatch ? hatch(pen, look.hatch) : look.fill;
  pen.globalAlpha = look.opacity;
  pen.fill("nonzero");
  items.forEach((item) => stroke(pen, item, { ...look, fill: null, hatch: null }, place));
}
function trace(pen, lines, place) {
  for (const flat of lines) {
    for (let i = 0; i < flat.length; i += 2) {
      const [x, y] = place(flat[i], flat[i + 1]);
      i ? pen.lineTo(x, y) : pen.moveTo(x, y);
    }
  }
}
function stroke(pen, { lines, shape, box }, style, place) {
  const [x0, y0] = place(box[0], box[1]), [x1, y1] = place(box[2], box[3]);
  pen.setLineDash(style.dash ?? []);
  pen.lineWidth = style.weight ?? 1;
  pen.strokeStyle = style.color;
  pen.fillStyle = style.hatch ? hatch(pen, style.hatch) : style.fill ?? "transparent";
  pen.lineJoin = "round";
  if (shape.kind === 0 || (shape.kind === 2 && x1 - x0 < 2.5 && y1 - y0 < 2.5)) {
    const radius = shape.kind === 0 ? 5 : 1.8;
    pen.globalAlpha = 1;
    pen.fillStyle = style.dot ?? style.color;
    pen.beginPath();
    pen.arc((x0 + x1) / 2, (y0 + y1) / 2, radius, 0, 7);
    pen.fill();
    return;
  }
  pen.beginPath();
  trace(pen, lines, place);
  if (shape.kind === 2 && style.fill) {
    pen.globalAlpha = style.opacity ?? 1;
    pen.fill("evenodd");
  }
  pen.globalAlpha = style.edge ?? 1;
  if (pen.lineWidth && style.color) pen.stroke();
  pen.globalAlpha = 1;
}

const layers = data.layers.map(drawLayer);
const layerOf = new Map(layers.map((drawn) => [drawn.layer.id, drawn]));
function drawLayer(layer, number) {
  const { paint } = layer, pane = layer.zone ? "zone" : `layer${number}`;
  const drawn = { layer, group: L.layerGroup(), labels: L.layerGroup(), tiny: [], on: false, tiles: null };
  const line = { pane, color: paint.colour, weight: paint.weight, dashArray: paint.dash, opacity: 0.95 };
  const style = layer.zone ? { ...line, fill: false, interactive: false }
    : layer.kind === "line" ? line
    : { ...line, fillColor: paint.hatch ? `url(#hatch${number})` : paint.colour, fillOpacity: paint.hatch ? 1 : paint.opacity };
  const dot = { ...line, color: "#fff", weight: 1.5, dashArray: null, fillColor: paint.colour, fillOpacity: 1 };
  if (layer.canvas) {
    const look = lookOf(layer), style = ({ shade }) => ({ ...look, opacity: shade ?? look.opacity });
    drawn.tiles = new Shapes(layer.features.map((feature) => ({ shape: feature.shape, style: () => style(feature), ref: feature })), { pane, one: isShaded(layer) ? null : look });
    drawn.group.addLayer(drawn.tiles);
  }
  const together = layer.overlaps && !layer.canvas && !layer.zone && !isShaded(layer);   // one path for the fill of all, else they darken where they overlap
  if (together) {
    const fixed = layer.features.filter(({ adrift, shape }) => !adrift && shape.kind === 2);
    drawn.group.addLayer(L.polygon(fixed.flatMap(({ shape }) => shape.parts.map((rings) => rings.map(flip))), { ...style, stroke: false, fillRule: "nonzero", interactive: false }));
  }
  for (const feature of layer.features) {
    feature.centre = () => boundsOf(feature.shape.box).getCenter();
    const isPoint = feature.shape.kind === 0;
    if (!layer.canvas) {
      const adrift = { dashArray: "3 5", weight: 1.5, fillOpacity: 0.06 };
      const fill = feature.adrift ? adrift : feature.shade !== undefined ? { fillOpacity: feature.shade } : together ? { fillOpacity: 0 } : {};
      const path = pathOf(feature.shape, isPoint ? dot : { ...style, ...fill });
      if (!layer.zone) path.on("click", (event) => { if (picking || siteTiles?.at(event.latlng).length) return; L.DomEvent.stopPropagation(event); openFeature(feature, event.latlng, null); });
      drawn.group.addLayer(path);
      if (feature.shape.kind === 2 && !layer.zone && layer.features.length <= FEW) drawn.tiny.push(sized(feature, path));
    }
    if (layer.kind === "point" && layer.named && layer.features.length <= 300) {
      drawn.labels.addLayer(textAt(feature.centre(), feature.adrift ? say("adrift_label", { name: feature.label }) : feature.label));
    } else if (layer.named && layer.features.length <= 40 && !layer.zone && (layer.labelled || paint.opacity <= 0.1)) {
      drawn.labels.addLayer(textAt(feature.centre(), feature.label, "area"));   // areas that are hardly filled, as towns, carry their names
    }
  }
  if (layer.kind === "point") {
    for (const ring of layer.rings) ringLines(layer, ring).forEach((at) => { drawn.group.addLayer(at.path); drawn.labels.addLayer(at.tag); });
  }
  if (layer.zone) drawn.group.addLayer(dimmed(layer));
  return drawn;
}
function lookOf({ paint }) {   // on canvas
  return { color: paint.colour, weight: paint.weight, fill: paint.colour, opacity: paint.hatch ? 1 : paint.opacity, edge: 0.95, dot: paint.colour,
    hatch: paint.hatch ? paint : null, dash: paint.dash?.split(/[ ,]+/).map(Number) };
}
function isShaded({ features }) { return features.some(({ shade }) => shade !== undefined); }   // each in its own strength
function ringLines(layer, ring) {   // a line at the true distance of a rule
  const lines = ring.at ? [unpacked(ring.at, false)] : ring.of.map((at) => circle(layer.features[at].shape.parts[0][0], ring.m));
  return lines.map((line) => ({ line,
    path: L.polyline(flip(line), { pane: "rings", color: layer.paint.colour, weight: 1.6, dashArray: "7 4", interactive: false }),
    tag: textAt(flip(line)[0], length(ring.m), "ring") }));
}
function textAt(at, text, kind = "") {
  const icon = L.divIcon({ className: "", iconSize: [0, 0], iconAnchor: [0, 8], html: node("span", { class: `tag-on-map ${kind}` }, text) });
  return L.marker(at, { pane: "labels", icon, interactive: false, keyboard: false });
}
function dimmed(layer) {
  // World ring plus the outlines of the zone: even-odd filling leaves the zone itself undimmed, holes dimmed.
  const [west, south, east, north] = [limits.getWest(), limits.getSouth(), limits.getEast(), limits.getNorth()];
  const world = [[south - 9, west - 9], [south - 9, east + 9], [north + 9, east + 9], [north + 9, west - 9]];
  return L.polygon([world, ...layer.features.flatMap(({ shape }) => shape.lines.map(flip))], {
    pane: "dimmed", stroke: false, fillColor: "#e4e7ea", fillOpacity: 0.66, fillRule: "evenodd", interactive: false });
}
function sized({ shape: { box: [x0, y0, x1, y1] } }, path) {
  return { path, size: Math.max(worldX(x1) - worldX(x0), worldY(y0) - worldY(y1)), dot: false };
}
function dots() {
  const zoom = 2 ** map.getZoom(), weight = map.getZoom() < DOTS_FROM ? 2 : 4;
  for (const { layer, tiny } of layers) {
    for (const one of tiny) {
      const dot = one.size * zoom < TINY_PX;
      if ((dot && weight) === one.dot) continue;
      one.dot = dot && weight;
      one.path.setStyle(dot ? { weight, dashArray: null } : { weight: layer.paint.weight, dashArray: layer.paint.dash });
    }
  }
}
function switchLabels() {
  for (const drawn of layers) {
    const wanted = drawn.on && (drawn.layer.labelled || map.getZoom() >= (drawn.layer.kind === "point" ? LABELS_FROM - 0.5 : LABELS_FROM));
    if (wanted !== map.hasLayer(drawn.labels)) wanted ? drawn.labels.addTo(map) : drawn.labels.remove();
  }
  arrangeLabels();
}
// Labels give way: points before rings before areas; a label that would lie on a symbol or another label moves left, or is not shown.
const LABEL_ORDER = ["", "ring", "area"];
function arrangeLabels() {
  const taken = [...document.querySelectorAll(".leaflet-symbols-pane .symbol, .grid-label span")].map((mark) => mark.getBoundingClientRect());
  const free = (box) => taken.every((other) => box.right < other.left || box.left > other.right || box.bottom < other.top || box.top > other.bottom);
  const kindOf = (tag) => LABEL_ORDER.findIndex((kind) => kind && tag.classList.contains(kind)) + 1 || 0;
  const tags = [...document.querySelectorAll(".tag-on-map")].sort((a, b) => kindOf(a) - kindOf(b));
  for (const tag of tags) {
    tag.classList.remove("left", "gone");
    if (!free(tag.getBoundingClientRect()) && !tag.classList.contains("area")) tag.classList.add("left");
    const box = tag.getBoundingClientRect();
    if (free(box)) taken.push(box);
    else tag.classList.add("gone");
  }
}
function setLayers(wanted) {   // pairs of a layer and whether it is on; labels are arranged once
  for (const [drawn, on] of wanted) {
    drawn.on = drawn.box.checked = on;
    on ? drawn.group.addTo(map) : drawn.group.remove();
  }
  switchLabels();
  remember();
}
const setLayer = (drawn, on) => setLayers([[drawn, on]]);
document.querySelectorAll("[data-layer]").forEach((box) => {
  const drawn = layers[Number(box.dataset.layer)];
  drawn.box = box;
  box.addEventListener("change", () => {
    setLayer(drawn, box.checked);
    announce(say(box.checked ? "shown" : "hidden", { title: drawn.layer.title }));
  });
});
function featuresUnder(latlng) {   // of layers on canvas tiles, the uppermost first
  return layers.filter((drawn) => drawn.on && drawn.tiles).reverse().flatMap((drawn) => drawn.tiles.at(latlng).map(({ ref }) => ref));
}

/* What is pointed out: the features of a rule, of a search, the place that is asked about. */
const focusGroup = L.layerGroup().addTo(map);
function pointOut(shapes) {
  focusGroup.clearLayers();
  if (!shapes.length) return;
  const halo = () => ({ color: "#fff", weight: 6, edge: 0.9 }), core = () => ({ color: "#111", weight: 2.2, dot: "#111", fill: "#ffd400", opacity: 0.22 });
  for (const style of [halo, core]) focusGroup.addLayer(new Shapes(shapes.map((shape) => ({ shape, style, ref: shape })), { pane: "focus" }));
}
