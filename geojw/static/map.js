/* Behaviour of a screening's map. Every text of the data goes through textContent or setAttribute, never innerHTML. */
(() => {
"use strict";
const data = JSON.parse(document.getElementById("screening").textContent);
const map = window.map_screening;
const byId = (id) => document.getElementById(id);
const styles = getComputedStyle(document.documentElement);
const colourOf = (verdict) => styles.getPropertyValue(`--v-${verdict}`).trim();
const TINY_PX = 5;           // a polygon smaller than this on the screen is drawn as a dot
const PAGE_ROWS = 100;       // rows of the table shown at once
const NAMES_FROM = 14, LABELS_FROM = 12, FULL_FROM = 11.5;   // zoom: names of sites, of points; full-size symbols

/* ---- words, numbers, nodes ---- */
function say(key, fields = {}) {
  return (data.texts[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => fields[name] ?? "");
}
function node(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}
function number(value, places) {
  // A small figure keeps three digits: a margin that is not 0 never reads 0.
  const small = value !== 0 && Math.abs(value) < 10 ** (1 - places);
  const options = small ? { maximumSignificantDigits: 3 } : { maximumFractionDigits: places };
  return new Intl.NumberFormat(data.lang, options).format(value);
}
const PLACES = { m: 3, m2: 1, share: 4 };
const UNITS = { overlap_m2: "m2", overlap_m: "m", distance_m: "m", overlap_share: "share", cover_share: "share" };
function quantity(value, unit) {
  if (value === null || value === undefined || value === "") return "";
  if (typeof value !== "number") return String(value);
  if (unit === "share") return `${number(value * 100, PLACES.share)} %`;
  return unit in PLACES ? `${number(value, PLACES[unit])} ${say(`unit.${unit}`)}` : number(value, 3);
}
function length(metres) {
  return metres < 1000 ? `${number(metres, 0)} ${say("unit.m")}` : `${number(metres / 1000, 1)} ${say("unit.km")}`;
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
function symbol(verdict, more = 0, chosen = false) {
  const made = node("span", { class: `symbol ${verdict}${chosen ? " selected" : ""}`, "aria-hidden": "true" }, say(`short.${verdict}`));
  if (more) made.append(node("span", { class: "more" }, `+${more}`));
  return made;
}

/* ---- the card (popup) of a site or a feature ---- */
const card = L.popup({ className: "site-card", offset: [0, -6] });
let opener = null, chosen = null;
function show(content, at, label, byKeyboard) {
  const size = map.getSize();
  if (chosen) choose(null);
  const narrow = size.x < 600;   // there the controls give way to the card (see map.css)
  card.options.autoPanPaddingTopLeft = narrow ? [8, 8] : [64, 10];
  card.options.autoPanPaddingBottomRight = narrow ? [8, 24] : [44, 24];
  card.options.maxWidth = Math.max(220, Math.min(400, size.x - (narrow ? 50 : 150)));
  card.options.minWidth = Math.min(300, card.options.maxWidth);
  card.options.maxHeight = Math.max(140, size.y - 110);
  opener = byKeyboard;
  map.getContainer().classList.toggle("carded", narrow);
  card.setLatLng(at).setContent(content).openOn(map);
  const box = card.getElement();
  box.setAttribute("role", "dialog");
  box.setAttribute("aria-label", label);
  box.querySelector(".leaflet-popup-content").tabIndex = 0;
  const close = box.querySelector(".leaflet-popup-close-button");
  close.setAttribute("aria-label", say("close"));
  close.title = say("close");
  map.getContainer().scrollIntoView({ block: "nearest" });   // on a phone the list is below the map
  if (byKeyboard) box.querySelector(".leaflet-popup-content").focus({ preventScroll: true });
}
map.on("popupclose", () => {
  if (opener && document.contains(opener)) opener.focus();
  opener = null;
  map.getContainer().classList.remove("carded");
  choose(null);
});

const limits = L.latLngBounds(data.view);
data.sites.filter((site) => site.geometry).forEach((site) => limits.extend(site.at));
const layerTitles = new Map(data.layers.map((layer) => [layer.id, layer.title]));
const columns = new Map(data.findings.columns.map((name, index) => [name, index]));
function read(row, name) {
  const cell = row[columns.get(name)];
  return cell === null || data.findings.numbers.includes(name) ? cell : data.findings.strings[cell];
}
function findingCard(row) {
  const get = (name) => read(row, name);
  const outcome = get("outcome"), unit = UNITS[get("measure")] ?? "";
  const kind = ["no_coverage", "source_failed", "not_evaluable"].includes(outcome) ? "unknown" : outcome;
  const limit = get("limit") === null ? "" : `${get("op") ?? ""} ${quantity(get("limit"), unit)}`;
  return node("article", { class: `finding ${kind}` },
    node("p", {}, node("span", { class: "outcome" }, words("outcome", outcome)), " ",
      node("b", {}, words("verdict", get("effect"))), ` · ${layerTitles.get(get("layer")) ?? get("layer")} · ${get("rule_id")}`),
    get("says") ? node("p", {}, get("says")) : null,
    rows([
      ["basis", get("basis")],
      ["value", get("value") === null ? "" : `${words("measure", get("measure"))} ${quantity(get("value"), unit)}`],
      ["test", limit],
      ["margin", quantity(get("margin"), get("margin_unit"))],
      ["certainty_heading", words("certainty", get("certainty"))],
      ["feature_ids", words("id", get("feature_ids"))], ["remedy", get("remedy")], ["reason", get("reason")],
    ]));
}
function siteCard(site) {
  const all = data.findings.rows[site.index];
  const clear = all.filter((row) => read(row, "outcome") === "clear");
  const area = typeof site.area_m2 !== "number" ? "" : say("areas", {
    m2: number(site.area_m2, 1), ha: number(site.area_m2 / 1e4, 4), mu: number(site.area_m2 * 3 / 2000, 3) });
  const made = node("div", { class: "card" },
    node("h2", {}, symbol(site.verdict), node("span", {}, nameOf(site))),
    rows([["verdict_heading", verdictWords(site)], ["certainty_heading", words("certainty", site.certainty)],
      ["could_become", words("verdict", site.could_become)], ["decided_by", words("rule", site.decided_by)],
      ["area", area], ["site_id", site.id]]));
  made.append(...all.filter((row) => read(row, "outcome") !== "clear").map(findingCard));
  if (clear.length) made.append(node("details", {}, node("summary", {}, say("clear_rules", { n: clear.length })), ...clear.map(findingCard)));
  if (!all.length) made.append(node("p", {}, say("no_findings")));
  return made;
}

/* ---- the layers, each in a pane of its own: the order never depends on the switches ---- */
const canvas = data.sites.length > data.crowd ? L.canvas({ pane: "sites" }) : null;
const layers = data.layers.map(drawLayer);
function drawLayer(layer) {
  const number = data.layers.indexOf(layer), { paint } = layer, pane = layer.zone ? "zone" : `layer${number}`;
  const drawn = { layer, group: L.layerGroup(), labels: L.layerGroup(), tiny: [], on: true, features: [] };
  const line = { pane, color: paint.colour, weight: paint.weight, dashArray: paint.dash, opacity: 0.95 };
  const style = layer.zone ? { ...line, fill: false, interactive: false }
    : layer.kind === "line" ? line
    : layer.kind === "point" ? { ...line, color: "#fff", weight: 1.5, dashArray: null, fillColor: paint.colour, fillOpacity: 1 }
    : { ...line, fillColor: paint.hatch ? `url(#hatch${number})` : paint.colour, fillOpacity: paint.hatch ? 1 : paint.opacity };
  for (const feature of layer.features) {
    const path = L.geoJSON(feature.geometry, { pane, style, interactive: !layer.zone, pointToLayer: (_, at) => L.circleMarker(at, { radius: 5 }) });
    const open = (at, from) => show(featureCard(layer, feature), at ?? path.getBounds().getCenter(), feature.label, from);
    if (!layer.zone) path.on("click", (event) => { L.DomEvent.stopPropagation(event); open(event.latlng, null); });
    drawn.features.push({ feature, path, open });
    drawn.group.addLayer(path);
    if (layer.kind === "polygon" && !layer.zone && layer.features.length <= data.crowd) drawn.tiny.push(sized(path));
    if (layer.kind === "point" && layer.named && layer.features.length <= 300) drawn.labels.addLayer(textAt(path.getBounds().getCenter(), feature.label));
  }
  for (const ring of layer.rings) {
    const circle = L.polyline(ring.at, { pane: "rings", color: paint.colour, weight: 1.6, dashArray: "7 4", interactive: false });
    drawn.group.addLayer(circle);
    drawn.labels.addLayer(textAt(ring.at[0], length(ring.m)));
  }
  if (layer.zone) drawn.group.addLayer(dimmed(layer));
  return drawn;
}
function textAt(at, text) {
  const icon = L.divIcon({ className: "", iconSize: [0, 0], iconAnchor: [0, 8], html: node("span", { class: "tag-on-map" }, text) });
  return L.marker(at, { pane: "labels", icon, interactive: false, keyboard: false });
}
function dimmed(layer) {
  // World ring plus the outlines of the zone: even-odd filling leaves the zone itself undimmed, holes dimmed.
  const [west, south, east, north] = [limits.getWest(), limits.getSouth(), limits.getEast(), limits.getNorth()];
  const flip = (ring) => ring.map(([lon, lat]) => [lat, lon]);
  const polygons = layer.features.flatMap(({ geometry }) => (geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates));
  const world = [[south - 9, west - 9], [south - 9, east + 9], [north + 9, east + 9], [north + 9, west - 9]];
  return L.polygon([world, ...polygons.flat().map(flip)], {
    pane: "dimmed", stroke: false, fillColor: "#dfe3e7", fillOpacity: 0.62, fillRule: "evenodd", interactive: false });
}
function sized(path) {
  const bounds = path.getBounds(), a = map.project(bounds.getNorthWest(), 0), b = map.project(bounds.getSouthEast(), 0);
  return { path, size: Math.max(Math.abs(b.x - a.x), Math.abs(b.y - a.y)), dot: false };
}
function featureCard(layer, feature) {
  const pairs = layer.columns.map((column, index) => [column, feature.values[index]]);
  const list = rows([["layer", layer.title], ["feature", feature.id]]);
  for (const [column, value] of pairs) {
    if (value !== null && value !== "") list.append(node("dt", {}, column), node("dd", {}, String(value)));
  }
  return node("div", { class: "card" }, node("h2", {}, feature.label), list,
    node("p", { class: "fine" }, `${say(`status.${layer.status}`)} · ${layer.source}`));
}
function dots() {
  const scale = 2 ** map.getZoom();
  for (const { layer, tiny } of layers) {
    for (const one of tiny) {
      const dot = one.size * scale < TINY_PX;
      if (dot === one.dot) continue;
      one.dot = dot;
      one.path.setStyle(dot ? { weight: 4, dashArray: null } : { weight: layer.paint.weight, dashArray: layer.paint.dash });
    }
  }
}
function switchLabels() {
  for (const drawn of layers) {
    const wanted = drawn.on && map.getZoom() >= LABELS_FROM;
    if (wanted !== map.hasLayer(drawn.labels)) wanted ? drawn.labels.addTo(map) : drawn.labels.remove();
  }
}

/* ---- the sites ---- */
const hiddenVerdicts = new Set();
const siteGroup = L.layerGroup().addTo(map), symbolGroup = L.layerGroup().addTo(map);
const siteStyle = (site, isChosen) => ({
  pane: "sites", color: isChosen ? "#000" : "#222", className: site.kind === "line" ? "site-line" : "", weight: site.kind === "line" ? (isChosen ? 6 : 3.5) : (isChosen ? 3.5 : 1.3),
  ...(site.kind === "line" && !isChosen ? { color: colourOf(site.verdict) } : {}), fillColor: colourOf(site.verdict), fillOpacity: 0.6 });
data.sites.forEach((site, index) => {
  site.index = index;
  if (!site.geometry) return;
  const options = { pane: "sites", ...(canvas ? { renderer: canvas } : {}) };
  const style = () => ({ ...siteStyle(site, false), ...options });
  site.path = L.geoJSON(site.geometry, { ...options, style, pointToLayer: (_, at) => L.circleMarker(at, { ...style(), radius: 5 }) });
  site.path.on("click", (event) => { L.DomEvent.stopPropagation(event); openSite(site, event.latlng, null); });
  siteGroup.addLayer(site.path);
});
const placed = data.sites.filter((site) => site.path);
const shownOnMap = (site) => !hiddenVerdicts.has(site.verdict);
function choose(site) {
  if (chosen) chosen.path.setStyle(siteStyle(chosen, false));
  chosen = site;
  if (chosen) chosen.path.setStyle(siteStyle(chosen, true)).bringToFront();
  symbols();
}
function openSite(site, at, from) {
  if (!site.path) { announce(say("no_place")); return; }
  show(siteCard(site), at ?? site.at, nameOf(site), from);
  choose(site);
}
function goTo(site, from) {
  if (site.path && hiddenVerdicts.has(site.verdict)) setVerdict(site.verdict, true);
  if (site.path) map.fitBounds(site.path.getBounds(), { maxZoom: 16, padding: [40, 40], animate: false });
  openSite(site, null, from);
  announce(say("went", { name: nameOf(site), verdict: verdictWords(site) }));
}
function symbolGap() {
  const view = map.getBounds();
  if (placed.length > 400 && placed.filter((site) => view.contains(site.at)).length > 400) return 44;
  return map.getZoom() < FULL_FROM ? 20 : 26;
}
function symbols() {
  // One symbol a spot, the strictest verdict's; sites come strictest first, so the first at a spot gives it.
  symbolGroup.clearLayers();
  const size = map.getSize(), cells = new Map(), spots = [], apart = symbolGap();
  for (const site of chosen ? [chosen, ...placed] : placed) {
    if (!shownOnMap(site) || (site === chosen && spots.length)) continue;
    const p = map.latLngToContainerPoint(site.at);
    if (p.x < -30 || p.y < -30 || p.x > size.x + 30 || p.y > size.y + 30) continue;
    const i = Math.floor(p.x / apart), j = Math.floor(p.y / apart);
    let near = null;
    for (let k = 0; k < 9 && !near; k++) {
      near = (cells.get(`${i - 1 + k % 3},${j - 1 + Math.floor(k / 3)}`) ?? []).find((spot) => spot.p.distanceTo(p) < apart) ?? null;
    }
    if (near) { near.members.push(site); continue; }
    const spot = { p, members: [site] };
    spots.push(spot);
    cells.set(`${i},${j}`, [...(cells.get(`${i},${j}`) ?? []), spot]);
  }
  spots.forEach(addSymbol);
}
function addSymbol({ members }) {
  const [site] = members;
  const html = node("span", { class: map.getZoom() < FULL_FROM ? "small" : "" }, symbol(site.verdict, members.length - 1, site === chosen));
  if (members.length === 1 && map.getZoom() >= NAMES_FROM) html.append(node("span", { class: "name" }, nameOf(site)));
  const marker = L.marker(site.at, { pane: "symbols", keyboard: false, zIndexOffset: 1000 * (9 - data.verdicts.indexOf(site.verdict)),
    icon: L.divIcon({ className: "spot", iconSize: [24, 24], html }) });
  marker.bindTooltip(node("span", {}, members.length > 1 ? say("spot", { n: members.length }) : `${nameOf(site)} · ${verdictWords(site)}`));
  marker.on("click", (event) => (members.length > 1 ? openSpot(members, event.latlng) : openSite(site, null, null)));
  symbolGroup.addLayer(marker);
  marker.getElement().setAttribute("aria-hidden", "true");   // the table of sites says the same, in words
}
function openSpot(members, at) {
  const bounds = L.latLngBounds(members.map((site) => site.at));
  if (map.getZoom() < 16 && map.getBoundsZoom(bounds.pad(0.2)) > map.getZoom() + 0.5) {
    map.fitBounds(bounds, { padding: [60, 60], maxZoom: 16 });
    return;
  }
  const list = node("ul");
  for (const site of members) list.append(node("li", {}, goButton(`${nameOf(site)} · ${verdictWords(site)}`, (button) => goTo(site, button))));
  show(node("div", { class: "card" }, node("h2", {}, say("spot", { n: members.length })), list), at, say("spot", { n: members.length }), null);
}
function goButton(text, act) {
  const button = node("button", { type: "button", class: "go" }, text);
  button.addEventListener("click", () => act(button));
  return button;
}

/* ---- legend = switches ---- */
const verdictBoxes = new Map([...document.querySelectorAll("[data-verdict]")].map((box) => [box.dataset.verdict, box]));
function setVerdict(verdict, on) {
  verdictBoxes.get(verdict).checked = on;
  on ? hiddenVerdicts.delete(verdict) : hiddenVerdicts.add(verdict);
  for (const site of placed) {
    if (site.verdict === verdict) on ? siteGroup.addLayer(site.path) : siteGroup.removeLayer(site.path);
  }
  symbols();
  fill();
  announce(say(on ? "shown" : "hidden", { title: words("verdict", verdict) }));
}
verdictBoxes.forEach((box, verdict) => box.addEventListener("change", () => setVerdict(verdict, box.checked)));
document.querySelectorAll("[data-layer]").forEach((box) => {
  const drawn = layers[Number(box.dataset.layer)];
  drawn.box = box;
  box.addEventListener("change", () => setLayer(drawn, box.checked));
});
function setLayer(drawn, on) {
  drawn.on = drawn.box.checked = on;
  on ? drawn.group.addTo(map) : drawn.group.remove();
  switchLabels();
  announce(say(on ? "shown" : "hidden", { title: drawn.layer.title }));
}

/* ---- search, and the table of sites: the map in words ---- */
let rowsWanted = PAGE_ROWS;
function fill() {
  const query = byId("query").value.trim().toLowerCase();
  const hits = data.sites.filter((site) => shownOnMap(site)
    && (!query || `${nameOf(site)}\n${site.id}\n${verdictWords(site)}`.toLowerCase().includes(query)));
  const body = node("tbody");
  for (const site of hits.slice(0, rowsWanted)) {
    const id = site.name === null ? null : node("span", { class: "fine" }, ` ${site.id}`);
    body.append(node("tr", {},
      node("td", {}, goButton(nameOf(site), (button) => goTo(site, button)), id),
      node("td", {}, node("div", { class: "verdict" }, symbol(site.verdict), node("span", {}, verdictWords(site)))),
      node("td", {}, words("certainty", site.certainty))));
  }
  document.querySelector("#sites tbody").replaceWith(body);
  byId("found").textContent = say("found", { shown: Math.min(hits.length, rowsWanted), hits: hits.length, total: data.sites.length });
  byId("more").hidden = hits.length <= rowsWanted;
  fillFeatures(query);
  return hits.length;
}
function fillFeatures(query) {
  const list = byId("features");
  list.replaceChildren();
  if (!query) return;
  const hits = layers.filter(({ layer }) => !layer.zone).flatMap((drawn) => drawn.features
    .filter(({ feature }) => `${feature.label}\n${feature.id}`.toLowerCase().includes(query)).map((found) => ({ drawn, ...found })));
  if (hits.length) list.append(node("li", { class: "fine" }, say("features_found", { n: hits.length, shown: Math.min(hits.length, 30) })));
  for (const { drawn, feature, path, open } of hits.slice(0, 30)) {
    list.append(node("li", {}, goButton(`${feature.label} · ${drawn.layer.title}`, (button) => {
      setLayer(drawn, true);
      map.fitBounds(path.getBounds(), { maxZoom: 15, padding: [40, 40], animate: false });
      open(null, button);
    })));
  }
}
let pause = 0;
byId("query").addEventListener("input", () => {
  clearTimeout(pause);
  rowsWanted = PAGE_ROWS;
  pause = setTimeout(() => { fill(); announce(byId("found").textContent); }, 150);
});
byId("more").textContent = say("more");
byId("more").addEventListener("click", () => { rowsWanted += PAGE_ROWS; fill(); });

/* ---- controls and the grid ---- */
function control(position, ...children) {
  const made = L.control({ position });
  made.onAdd = () => {
    const box = node("div", { class: "leaflet-bar tools" }, ...children);
    L.DomEvent.disableClickPropagation(box);
    return box;
  };
  made.addTo(map);
  return made;
}
function tool(key, act) {
  const button = node("button", { type: "button", class: "tool" }, say(key));
  button.addEventListener("click", act);
  return button;
}
const Scale = L.Control.Scale.extend({
  _updateMetric(maxMetres) {
    const metres = this._getRoundNum(maxMetres);
    this._updateScale(this._mScale, length(metres), metres / maxMetres);
  },
});
const degrees = (value, step) => `${Math.abs(value).toFixed(step < 0.01 ? 3 : 2)}°`;
const gridLines = L.layerGroup().addTo(map), gridLabels = L.layerGroup().addTo(map);
function grid() {
  gridLines.clearLayers();
  gridLabels.clearLayers();
  const view = map.getBounds(), size = map.getSize();
  const step = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5].find((value) => (view.getEast() - view.getWest()) / value < size.x / 110) ?? 10;
  const line = (ends) => gridLines.addLayer(L.polyline(ends, { pane: "grid", color: "#6f7c86", weight: 0.6, opacity: 0.75, dashArray: "2 4", interactive: false }));
  const label = (x, y, side, text) => gridLabels.addLayer(L.marker(map.containerPointToLatLng([x, y]), { pane: "labels", interactive: false, keyboard: false,
    icon: L.divIcon({ className: `grid-label ${side}`, iconSize: [0, 0], html: node("span", {}, text) }) }));
  for (let k = Math.ceil(view.getWest() / step); k * step < view.getEast(); k++) {
    line([[view.getSouth() - 1, k * step], [view.getNorth() + 1, k * step]]);
    const { x } = map.latLngToContainerPoint([view.getNorth(), k * step]);
    if (x > 80 && x < size.x - 70) label(x, 2, "top", degrees(k * step, step) + (k < 0 ? "W" : "E"));
  }
  for (let k = Math.ceil(view.getSouth() / step); k * step < view.getNorth(); k++) {
    line([[k * step, view.getWest() - 1], [k * step, view.getEast() + 1]]);
    const { y } = map.latLngToContainerPoint([k * step, view.getEast()]);
    if (y > 60 && y < size.y - 34) label(size.x - 2, y, "right", degrees(k * step, step) + (k < 0 ? "S" : "N"));
  }
}

/* ---- start ---- */
const box = map.getContainer();
box.setAttribute("role", "application");
box.setAttribute("aria-label", say("map_label"));
box.addEventListener("keydown", (event) => { if (event.key === "Escape") map.closePopup(); });
map.attributionControl.setPrefix("Leaflet");
L.control.zoom({ position: "topleft", zoomInTitle: say("zoom_in"), zoomOutTitle: say("zoom_out") }).addTo(map);
const fit = () => map.fitBounds(data.view, { animate: false, padding: [12, 12] });
control("topleft", tool("whole", fit), tool("print", () => window.print()));
const north = L.control({ position: "topright" });
north.onAdd = () => node("div", { class: "north", role: "img", "aria-label": say("north") }, "▲", node("br"), say("north_letter"));
north.addTo(map);
new Scale({ imperial: false, maxWidth: 130 }).addTo(map);
fit();
map.setMinZoom(7).setMaxZoom(19).setMaxBounds(limits.pad(1));
layers.forEach((drawn) => drawn.group.addTo(map));
map.on("zoomend", () => { dots(); switchLabels(); });
map.on("moveend resize", () => { symbols(); grid(); });
dots(); switchLabels(); symbols(); grid(); fill();
new ResizeObserver(() => map.invalidateSize({ animate: false })).observe(box);
let before = null;
function paper(on) {
  const root = document.documentElement, panel = byId("panel");
  if (on) before = map.getBounds();
  root.classList.toggle("printing", on);   // the layout of the sheet, so that what is measured now is what is printed
  panel.scrollTop = byId("notices").scrollTop = 0;
  panel.style.zoom = 1;
  for (let i = 0; on && i < 4 && panel.scrollHeight > panel.clientHeight + 1; i++) {
    panel.style.zoom = panel.style.zoom * Math.max(0.6, 0.98 * panel.clientHeight / panel.scrollHeight);
  }
  map.invalidateSize({ animate: false });
  if (before) map.fitBounds(before, { animate: false });
}
window.addEventListener("beforeprint", () => paper(true));
window.addEventListener("afterprint", () => paper(false));
document.documentElement.dataset.ready = "yes";
})();
