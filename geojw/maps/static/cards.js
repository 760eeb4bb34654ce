/* The card (popup) of a site or a feature. */
const card = L.popup({ className: "site-card", offset: [0, -6] });
let opener = null;
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

const outcomeWords = (outcome) => (outcome === "withheld" ? say("withheld") : words("outcome", outcome));
function findingCard(one) {
  const unit = UNITS[one.measure] ?? "";
  const kind = UNKNOWN.includes(one.outcome) ? "unknown" : one.outcome;
  const none = (value) => value === null || value === undefined;
  const limit = none(one.limit) ? "" : `${one.op ?? ""} ${quantity(one.limit, unit)}`;
  const rule = ruleOf.has(one.rule_id) ? goButton(one.rule_id, () => { map.closePopup(); openRule(ruleOf.get(one.rule_id)); }) : one.rule_id;
  return node("article", { class: `finding ${kind}` },
    node("p", {}, node("span", { class: "outcome" }, outcomeWords(one.outcome)), " ",
      node("b", {}, words("verdict", one.effect)), ` · ${layerTitles.get(one.layer) ?? one.layer} · `, rule),
    one.says ? node("p", {}, one.says) : null,
    rows([
      ["basis", one.basis],
      ["value", none(one.value) ? "" : `${words("measure", one.measure)} ${data.rough ? say("about") : ""}${quantity(one.value, unit)}`],
      ["test", limit],
      ["margin", quantity(one.margin, one.margin_unit)],
      ["certainty_heading", words("certainty", one.certainty)],
      ["feature_ids", words("id", one.feature_ids)], ["remedy", one.remedy], ["reason", one.reason],
    ]));
}
function siteCard(site) {
  const all = findingsOf(site);
  const clear = all.filter((one) => one.outcome === "clear");
  const made = node("div", { class: "card" },
    node("h2", {}, symbol(site.verdict), node("span", {}, nameOf(site))),
    rows([["verdict_heading", verdictWords(site)], ["before", site.before], ["changed_by", words("rule", site.changed_by)], ["certainty_heading", words("certainty", site.certainty)],
      ["could_become", words("verdict", site.could_become)], ["decided_by", words("rule", site.decided_by)],
      ["area", typeof site.area_m2 === "number" ? areas(site.area_m2) : ""], ["site_id", site.id]]));
  made.append(...all.filter((one) => one.outcome !== "clear").map(findingCard));
  if (clear.length) made.append(node("details", {}, node("summary", {}, say("clear_rules", { n: clear.length })), ...clear.map(findingCard)));
  if (!all.length) made.append(node("p", {}, say(data.rough ? "no_findings_rough" : "no_findings")));
  if (data.rough) made.append(node("p", { class: "fine" }, say("rough_note")));
  return made;
}
function featureCard({ layer, label, id, values, adrift, at }) {
  const list = rows([["layer", layer.title], ["feature", id]]);
  layer.columns.forEach((column, i) => {
    if (values[i] !== null && values[i] !== "" && !(column === "id" && values[i] === id)) list.append(node("dt", {}, column), node("dd", {}, String(values[i])));
  });
  const rules = data.rules.filter((rule) => rule.layer === layer.id && (rule.kept === null || rule.kept.includes(at) || rule.perhaps.includes(at)));
  const made = node("div", { class: "card" }, node("h2", {}, label), list);
  if (adrift) made.append(node("p", {}, say("adrift")));
  if (rules.length) {
    made.append(node("h3", {}, say("rules_here")), node("ul", {}, ...rules.map((rule) =>
      node("li", {}, goButton(rule.id, () => { map.closePopup(); openRule(rule); }), ` ${words("verdict", rule.effect)}${say("colon")}${rule.says}`))));
  }
  made.append(node("p", { class: "fine" }, `${say(`status.${layer.status}`)} · ${layer.source}`));
  return made;
}
function openFeature(feature, at, from) {
  show(featureCard(feature), at ?? feature.centre(), feature.label, from);
}
function goToFeature(feature, from) {
  setLayer(layerOf.get(feature.layer.id), true);
  map.fitBounds(boundsOf(feature.shape.box), { maxZoom: 15, padding: [40, 40], animate: false });
  openFeature(feature, null, from);
}
