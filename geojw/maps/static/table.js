/* Search, and the table of sites: the map in words, sortable, to take away as CSV and GeoJSON. */
const PAGE_ROWS = 100;       // rows of the table shown at once
let rowsWanted = PAGE_ROWS, sorting = { key: null, down: false };
const rankOf = (verdict) => data.verdicts.indexOf(verdict);
const COLUMNS = [
  { key: "name", title: "name", sort: (a, b) => nameOf(a).localeCompare(nameOf(b), data.lang) },
  { key: "verdict", title: "verdict_heading", sort: (a, b) => rankOf(a.verdict) - rankOf(b.verdict) },
  { key: "certainty", title: "certainty_heading", sort: (a, b) => words("certainty", a.certainty).localeCompare(words("certainty", b.certainty), data.lang) },
  { key: "decided_by", title: "decided_by", wide: true, sort: (a, b) => (a.decided_by ?? "").localeCompare(b.decided_by ?? "") },
  { key: "area_m2", title: "area", wide: true, sort: (a, b) => (a.area_m2 ?? -1) - (b.area_m2 ?? -1) },
];
const haystacks = new Map();
function haystack(site) {
  if (!haystacks.has(site)) haystacks.set(site, `${nameOf(site)}\n${site.id}\n${verdictWords(site)}`.toLowerCase());
  return haystacks.get(site);
}
function hitsOf(query) {
  const found = sites.filter((site) => shownOnMap(site) && (!query || haystack(site).includes(query)));
  const column = COLUMNS.find(({ key }) => key === sorting.key);
  if (column) found.sort((a, b) => (sorting.down ? -1 : 1) * column.sort(a, b));
  return found;
}
const queryNow = () => byId("query").value.trim().toLowerCase();
function fill() {
  const query = queryNow(), hits = hitsOf(query);
  const table = byId("sites");
  if (table) {
    const body = node("tbody");
    for (const site of hits.slice(0, rowsWanted)) {
      const id = site.name === null ? null : node("span", { class: "fine" }, ` ${site.id}`);
      body.append(node("tr", {},
        node("td", {}, goButton(nameOf(site), (from) => goTo(site, from)), id),
        node("td", {}, node("div", { class: "verdict" }, symbol(site.verdict), node("span", {}, verdictWords(site)))),
        node("td", {}, words("certainty", site.certainty)),
        node("td", { class: "wide" }, words("rule", site.decided_by)),
        node("td", { class: "wide" }, typeof site.area_m2 === "number" ? areas(site.area_m2) : "")));
    }
    table.querySelector("tbody").replaceWith(body);
    byId("found").textContent = say("found", { shown: Math.min(hits.length, rowsWanted), hits: hits.length, total: sites.length });
    byId("more").hidden = hits.length <= rowsWanted;
  }
  fillFeatures(query);
}
function fillFeatures(query) {
  const list = byId("features");
  list.replaceChildren();
  if (!query) return;
  const ring = parsePlace(byId("query").value);
  if (ring) {
    list.append(node("li", {}, goButton(say("go_to_place", { where: ring.map((at) => at.join(", ")).join("; ") }), () => goToPlace(ring))));
    return;
  }
  const hits = layers.filter(({ layer }) => !layer.zone).flatMap(({ layer }) => layer.features
    .filter((feature) => `${feature.label}\n${feature.id ?? ""}`.toLowerCase().includes(query)));
  list.append(node("li", { class: "fine" }, say("features_found", { n: hits.length, shown: Math.min(hits.length, 30) })));
  for (const feature of hits.slice(0, 30)) {
    list.append(node("li", {}, goButton(`${feature.label} · ${feature.layer.title}`, (from) => goToFeature(feature, from))));
  }
}
function goToPlace(ring) {
  const { shape } = placeOf(ring);
  if (data.check) { ask(ring); return; }
  pointOut([shape]);
  map.fitBounds(boundsOf(shape.box), { maxZoom: 15, animate: false });
}
let pause = 0;
byId("query").addEventListener("input", () => {
  clearTimeout(pause);
  rowsWanted = PAGE_ROWS;
  pause = setTimeout(() => { fill(); announce(byId("found")?.textContent || byId("features").innerText); }, 150);
});
function headings() {
  const row = byId("sites").querySelector("thead tr");
  for (const column of COLUMNS) {
    const head = node("th", { scope: "col", class: column.wide ? "wide" : "", "aria-sort": "none" });
    head.append(button(say(column.title), () => {
      sorting = { key: column.key, down: sorting.key === column.key && !sorting.down };
      row.querySelectorAll("th").forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", sorting.down ? "descending" : "ascending");
      fill();
    }, { class: "sort" }));
    row.append(head);
  }
}

/* ---- to take away: what the table shows, cells that a spreadsheet would run as formulas made plain ---- */
function csvCell(value) {
  const text = value === null || value === undefined ? "" : String(value);
  const safe = typeof value !== "number" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
const FIELDS = ["id", "name", "verdict", "certainty", "decided_by", "area_m2", "at_least", "at_most", "could_become"];
function csv(list) {
  const lines = [["site_id", ...FIELDS.slice(1), "verdict_text"], ...list.map((site) => [...FIELDS.map((field) => site[field]), sentence(site)])];
  return "\ufeff" + lines.map((line) => line.map(csvCell).join(",")).join("\r\n") + "\r\n";
}
function features(list) {
  return JSON.stringify({ type: "FeatureCollection", notice: [...(data.mark ? [data.mark] : []), ...data.notices],
    features: list.map((site) => ({ type: "Feature", id: site.id, properties: Object.fromEntries(FIELDS.slice(1).map((field) => [field, site[field]])),
      geometry: site.shape ? geojson(site.shape) : null })) });
}
if (byId("sites")) {
  headings();
  byId("more").textContent = say("more");
  byId("more").addEventListener("click", () => { rowsWanted += PAGE_ROWS; fill(); });
  byId("take-away").append(
    button(say("wide_table"), (pressed) => {
      const wide = document.documentElement.classList.toggle("wide");
      pressed.setAttribute("aria-pressed", String(wide));
    }, { class: "plain-button", "aria-pressed": "false" }),
    button("CSV", () => save("sites.csv", "text/csv;charset=utf-8", [csv(hitsOf(queryNow()))]), { class: "plain-button", "aria-label": say("save_csv") }),
    button("GeoJSON", () => save("sites.geojson", "application/geo+json", [features(hitsOf(queryNow()))]), { class: "plain-button", "aria-label": say("save_geojson") }));
}
/* The features of each layer as a list, for those who do not point at a map; made when opened. */
document.querySelectorAll("details[data-features]").forEach((box) => box.addEventListener("toggle", () => {
  const list = box.querySelector("ul"), { layer } = layers[Number(box.dataset.features)];
  if (!box.open || list.childElementCount) return;
  const add = (from) => {
    layer.features.slice(from, from + PAGE_ROWS).forEach((feature) => list.append(node("li", {}, goButton(feature.label, (opened) => goToFeature(feature, opened)))));
    if (layer.features.length > from + PAGE_ROWS) {
      const more = node("li", {}, button(say("more"), () => { more.remove(); add(from + PAGE_ROWS); }, { class: "plain-button" }));
      list.append(more);
    }
  };
  add(0);
}));
