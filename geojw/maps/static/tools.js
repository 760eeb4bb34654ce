/* Controls: scale, grid, measuring and drawing, full screen, permalink. */
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
const tool = (key, act) => button(say(key), act, { class: "tool" });
const Scale = L.Control.Scale.extend({
  _updateMetric(maxMetres) {
    const metres = this._getRoundNum(maxMetres);
    this._updateScale(this._mScale, length(metres), metres / maxMetres);
  },
});
const degrees = (value, step) => `${Math.abs(value).toFixed(step < 0.01 ? 3 : 2)}°`;
const gridLines = L.layerGroup().addTo(map), gridLabels = L.layerGroup().addTo(map);
const GRID_STEPS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];
const gridStep = (view, width) => GRID_STEPS.find((value) => (view.getEast() - view.getWest()) / value < width / 110) ?? 10;
function grid() {
  gridLines.clearLayers();
  gridLabels.clearLayers();
  const view = map.getBounds(), size = map.getSize(), step = gridStep(view, size.x);
  const line = (ends) => gridLines.addLayer(L.polyline(ends, { pane: "grid", color: "#6f7c86", weight: 0.6, opacity: 0.75, dashArray: "2 4", interactive: false }));
  const label = (x, y, side, text) => gridLabels.addLayer(L.marker(map.containerPointToLatLng([x, y]), { pane: "frame", interactive: false, keyboard: false,
    icon: L.divIcon({ className: `grid-label ${side}`, iconSize: [0, 0], html: node("span", {}, text) }) }));
  for (let k = Math.ceil(view.getWest() / step); k * step < view.getEast(); k++) {
    line([[view.getSouth() - 1, k * step], [view.getNorth() + 1, k * step]]);
    const { x } = map.latLngToContainerPoint([view.getNorth(), k * step]);
    if (x > 96 && x < size.x - 70) label(x, 2, "top", degrees(k * step, step) + (k < 0 ? "W" : "E"));
  }
  for (let k = Math.ceil(view.getSouth() / step); k * step < view.getNorth(); k++) {
    line([[k * step, view.getWest() - 1], [k * step, view.getEast() + 1]]);
    const { y } = map.latLngToContainerPoint([k * step, view.getEast()]);
    if (y > 60 && y < size.y - 34) label(size.x - 2, y, "right", degrees(k * step, step) + (k < 0 ? "S" : "N"));
  }
}

/* ---- picking places on the map, by mouse, finger or keyboard: to measure, to ask about a point or an area ---- */
let picking = null;          // "measure", "point", "area"
let picked = [];
const pickGroup = L.layerGroup().addTo(map);
function pick(kind) {
  if (picking === kind) { stopPicking(); return; }
  stopPicking();
  picking = kind;
  picked = [];
  map.closePopup();
  map.getContainer().classList.add("picking");
  map.doubleClickZoom.disable();
  byId("picked").hidden = false;
  tellPicked();
  map.getContainer().focus();
}
function stopPicking() {
  picking = null;
  pickGroup.clearLayers();
  map.getContainer().classList.remove("picking");
  map.doubleClickZoom.enable();
  byId("picked").hidden = true;
}
function addPick(latlng) {
  picked.push([latlng.lng, latlng.lat]);
  if (picking === "point") { finishPick(); return; }
  tellPicked();
}
function tellPicked() {
  pickGroup.clearLayers();
  const close = picking === "area" && picked.length > 2, line = flip(close ? [...picked, picked[0]] : picked);
  const look = { pane: "focus", interactive: false };
  pickGroup.addLayer(L.polyline(line, { ...look, color: "#fff", weight: 6 })).addLayer(L.polyline(line, { ...look, color: "#b3005e", weight: 2.5 }));
  flip(picked).forEach((at) => pickGroup.addLayer(L.circleMarker(at, { ...look, radius: 5, color: "#fff", weight: 2, fillColor: "#b3005e", fillOpacity: 1 })));
  const metres = picked.slice(1).reduce((sum, at, i) => sum + geodesic_m(picked[i], at), 0);
  const parts = [say(`picking.${picking}`)];
  if (picked.length > 1) parts.push(say("measured", { distance: `${number(metres, 1)} ${say("unit.m")}` }));
  if (picked.length > 2) parts.push(say("measured_area", { area: areas(geodesicArea_m2(picked)) }));
  byId("picked-text").textContent = parts.join(" ");
}
function finishPick() {
  const kind = picking, ring = picked;
  if (kind === "measure" || (kind === "area" && ring.length < 3)) { announce(byId("picked-text").textContent); if (kind === "area") return; stopPicking(); return; }
  stopPicking();
  byId("place").value = ring.map(([lon, lat]) => `${lon.toFixed(6)}, ${lat.toFixed(6)}`).join("; ");
  byId("datum").value = "cgcs2000";
  ask(ring, { move: false });
  byId("check-answer").focus();
}
function pickKeys(event) {
  if (!picking) return;
  const acts = { Enter: () => addPick(map.getCenter()), " ": () => addPick(map.getCenter()), Backspace: () => { picked.pop(); tellPicked(); }, Escape: stopPicking };
  if (event.target === map.getContainer() && acts[event.key]) { event.preventDefault(); acts[event.key](); }
}
byId("picked").append(button(say("pick_done"), finishPick, { class: "plain-button" }), button(say("pick_undo"), () => { picked.pop(); tellPicked(); }, { class: "plain-button" }),
  button(say("pick_stop"), stopPicking, { class: "plain-button" }));

/* ---- base maps, each switched on by its reader: nothing is asked for before ---- */
const basesOn = new Set();   // their tiles may not be read back from a canvas, so they are not in the picture
function baseMaps() {
  const offered = [];
  if (data.tianditu) {
    const sheet = (kind) => L.tileLayer("https://t{s}.tianditu.gov.cn/{kind}_w/wmts?SERVICE=WMTS&REQUEST=GetTile&VERSION=1.0.0&LAYER={kind}&STYLE=default&TILEMATRIXSET=w&FORMAT=tiles&TILECOL={x}&TILEROW={y}&TILEMATRIX={z}&tk={tk}",
      { subdomains: "01234567", kind, tk: data.tianditu, maxZoom: 18, attribution: "天地图" });
    offered.push(["base.vec", L.layerGroup([sheet("vec"), sheet("cva")])], ["base.img", L.layerGroup([sheet("img"), sheet("cia")])]);
  }
  if (data.gaode) offered.push(["base.gaode", new Shifted("https://webrd0{s}.is.autonavi.com/appmaptile?lang=zh_cn&size=1&scale=1&style=8&x={x}&y={y}&z={z}", { subdomains: "1234", maxZoom: 18, attribution: "高德" })]);
  const box = byId("base-maps");
  for (const [key, layer] of offered) {
    const input = node("input", { type: "checkbox" });
    input.addEventListener("change", () => {
      input.checked ? layer.addTo(map) : layer.remove();
      input.checked ? basesOn.add(key) : basesOn.delete(key);
    });
    box.append(node("li", {}, node("label", {}, input, node("span", { class: "title" }, say(key)))));
  }
  if (offered.length) box.append(node("li", {}, node("p", { class: "fine" }, say("base_not_saved"))));
}
// 高德 tiles show places where GCJ-02 puts them: the tiles are moved back, the data stay where they are.
const Shifted = L.TileLayer.extend({
  _shift(zoom, centre) {
    const { lng, lat } = centre ?? map.getCenter(), [lon2, lat2] = gcoord.transform([lng, lat], gcoord.WGS84, gcoord.GCJ02);
    return map.project([lat2, lon2], zoom).subtract(map.project([lat, lng], zoom));
  },
  _getTiledPixelBounds(centre) {
    const bounds = L.TileLayer.prototype._getTiledPixelBounds.call(this, centre), shift = this._shift(this._tileZoom, centre);
    return L.bounds(bounds.min.add(shift), bounds.max.add(shift));
  },
  _setZoomTransform(level, centre, zoom) {
    const scaling = map.getZoomScale(zoom, level.zoom), shift = this._shift(zoom, centre);
    const translate = level.origin.multiplyBy(scaling).subtract(map._getNewPixelOrigin(centre, zoom)).subtract(shift).round();
    L.DomUtil.setTransform(level.el, translate, scaling);
  },
});

/* ---- permalink: view, layers, selection ---- */
let remembering = false;
function remember() {
  if (!remembering) return;
  const { lat, lng } = map.getCenter(), parts = new URLSearchParams();
  parts.set("at", [map.getZoom().toFixed(2), lat.toFixed(5), lng.toFixed(5)].join("/"));
  parts.set("layers", layers.filter(({ on }) => on).map(({ layer }) => layer.id).join(","));
  if (hiddenVerdicts.size) parts.set("hidden", [...hiddenVerdicts].join(","));
  if (chosen) parts.set("site", chosen.id);
  if (rulePicked) parts.set("rule", rulePicked.id);
  if (asked) parts.set("place", asked.map(([lon, lat]) => `${lon.toFixed(6)},${lat.toFixed(6)}`).join(";"));
  history.replaceState(null, "", `#${parts}`);
}
function recall() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const on = parts.get("layers")?.split(",");
  setLayers(layers.map((drawn) => [drawn, on ? on.includes(drawn.layer.id) : drawn.layer.shown]));
  (parts.get("hidden") ?? "").split(",").filter((verdict) => verdictBoxes.has(verdict)).forEach((verdict) => setVerdict(verdict, false));
  const ring = parts.get("place") && data.check ? parsePlace(parts.get("place")) : null;
  if (ring) ask(ring);
  const rule = ruleOf.get(parts.get("rule"));
  if (rule) openRule(rule);
  const at = (parts.get("at") ?? "").split("/").map(Number);
  if (at.length === 3 && at.every(Number.isFinite) && Math.abs(at[1]) <= 85 && Math.abs(at[2]) <= 180) map.setView([at[1], at[2]], at[0], { animate: false });
  const site = sites.find(({ id }) => id === parts.get("site"));
  if (site) openSite(site, null, null);
}
