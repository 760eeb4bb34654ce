/* The sites: shapes, and a symbol a spot whose verdict is the strictest there. */
const hiddenVerdicts = new Set();
let chosen = null, onlyRule = null;
const siteGroup = L.layerGroup(), symbolGroup = L.layerGroup().addTo(map), chosenGroup = L.layerGroup().addTo(map);
const shownOnMap = (site) => !hiddenVerdicts.has(site.verdict) && (!onlyRule || onlyRule.has(site.index));
const siteStyle = (site) => ({
  pane: "sites", color: site.shape.kind === 1 ? colourOf(site.verdict) : "#222", className: site.shape.kind === 1 ? "site-line" : "",
  weight: site.shape.kind === 1 ? 3.5 : 1.3, fillColor: colourOf(site.verdict), fillOpacity: 0.6, radius: 5 });
const colours = new Map(data.verdicts.map((verdict) => [verdict, colourOf(verdict)]));
const tileStyle = (site) => shownOnMap(site) && {
  color: site.shape.kind === 1 ? colours.get(site.verdict) : "#222", weight: site.shape.kind === 1 ? 3 : 0.8,
  fill: colours.get(site.verdict), opacity: 0.75, dot: colours.get(site.verdict) };
const siteTiles = data.sites.canvas && placed.length
  ? new Shapes(placed.slice().reverse().map((site) => ({ shape: site.shape, style: tileStyle, ref: site })), { pane: "sites" }).addTo(siteGroup) : null;
if (!siteTiles) {
  for (const site of placed) {
    site.path = pathOf(site.shape, siteStyle(site));
    site.path.on("click", (event) => { if (picking) return; L.DomEvent.stopPropagation(event); openSite(site, event.latlng, null); });
    siteGroup.addLayer(site.path);
  }
}
function redrawSites() {
  if (siteTiles) siteTiles.redraw();
  else placed.forEach((site) => (shownOnMap(site) ? siteGroup.addLayer(site.path) : siteGroup.removeLayer(site.path)));
  symbols();
  fill();
}
function choose(site) {
  chosen = site;
  chosenGroup.clearLayers();
  if (site) chosenGroup.addLayer(pathOf(site.shape, { ...siteStyle(site), pane: "focus", weight: 3.5, color: site.shape.kind === 1 ? "#000" : "#000", fillOpacity: 0, interactive: false }));
  symbols();
  remember();
}
function openSite(site, at, from) {
  if (!site.shape) { announce(say("no_place")); return; }
  show(siteCard(site), at ?? site.at, nameOf(site), from);
  choose(site);
}
function goTo(site, from) {
  if (site.shape && hiddenVerdicts.has(site.verdict)) setVerdict(site.verdict, true);
  if (site.shape) map.fitBounds(boundsOf(site.shape.box), { maxZoom: 16, padding: [40, 40], animate: false });
  openSite(site, null, from);
  announce(sentence(site));
}

// World coordinates of all symbols, so that a pan over many sites costs no more than one over few.
const spotX = Float64Array.from(placed, ({ at }) => worldX(at[1])), spotY = Float64Array.from(placed, ({ at }) => worldY(at[0]));
function symbols() {
  // Sites come strictest first, so the first at a spot gives its symbol.
  symbolGroup.clearLayers();
  const size = map.getSize(), zoom = 2 ** map.getZoom(), origin = map.containerPointToLatLng([0, 0]);
  const left = worldX(origin.lng) * zoom, top = worldY(origin.lat) * zoom;
  const seen = [];
  placed.forEach((site, i) => {
    const x = spotX[i] * zoom - left, y = spotY[i] * zoom - top;
    if (x > -30 && y > -30 && x < size.x + 30 && y < size.y + 30 && shownOnMap(site)) seen.push({ site, x, y });
  });
  const crowded = seen.length > 400, apart = crowded ? 44 : map.getZoom() < FULL_FROM ? 20 : 26;
  if (chosen) seen.sort((a, b) => (b.site === chosen) - (a.site === chosen));
  const cells = new Map(), spots = [];
  for (const one of seen) {
    const i = Math.floor(one.x / apart), j = Math.floor(one.y / apart);
    let near = null;
    for (let k = 0; k < 9 && !near; k++) {
      near = (cells.get(`${i - 1 + k % 3},${j - 1 + Math.floor(k / 3)}`) ?? []).find((spot) => Math.hypot(spot.x - one.x, spot.y - one.y) < apart) ?? null;
    }
    if (near) { near.members.push(one.site); continue; }
    const spot = { x: one.x, y: one.y, members: [one.site] };
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
  marker.on("click", (event) => { if (!picking) (members.length > 1 ? openSpot(members, event.latlng) : openSite(site, null, null)); });
  symbolGroup.addLayer(marker);
  marker.getElement().setAttribute("aria-hidden", "true");   // the table of sites says the same, in words
}
function openSpot(members, at) {
  const bounds = L.latLngBounds(members.map((site) => site.at));
  if (map.getZoom() < 16 && map.getBoundsZoom(bounds.pad(0.2)) > map.getZoom() + 0.5) {
    map.fitBounds(bounds, { padding: [60, 60], maxZoom: 16 });
    return;
  }
  const list = node("ul"), most = 50;
  for (const site of members.slice(0, most)) list.append(node("li", {}, goButton(`${nameOf(site)} · ${verdictWords(site)}`, (from) => goTo(site, from))));
  if (members.length > most) list.append(node("li", {}, say("and_more", { n: members.length - most })));
  show(node("div", { class: "card" }, node("h2", {}, say("spot", { n: members.length })), list), at, say("spot", { n: members.length }), null);
}
const verdictBoxes = new Map([...document.querySelectorAll("[data-verdict]")].map((box) => [box.dataset.verdict, box]));
function setVerdict(verdict, on) {
  verdictBoxes.get(verdict).checked = on;
  on ? hiddenVerdicts.delete(verdict) : hiddenVerdicts.add(verdict);
  redrawSites();
  remember();
  announce(say(on ? "shown" : "hidden", { title: words("verdict", verdict) }));
}
verdictBoxes.forEach((box, verdict) => box.addEventListener("change", () => setVerdict(verdict, box.checked)));
