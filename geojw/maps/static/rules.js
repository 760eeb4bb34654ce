/* A rule: where it applies, and which sites it decided. */
function ruleFeatures(rule) {
  const drawn = layerOf.get(rule.layer);
  if (!drawn) return null;
  if (rule.kept === null) return drawn.layer.features;
  return [...rule.kept, ...rule.perhaps].map((at) => drawn.layer.features[at]);
}
const ruleRings = L.layerGroup().addTo(map);
let rulePicked = null;
function openRule(rule) {
  rulePicked = rule;
  const found = ruleFeatures(rule), counts = sitesOfRule.get(rule.id), drawn = layerOf.get(rule.layer);
  ruleRings.clearLayers();
  if (found) {
    setLayer(drawn, true);
    pointOut(found.map(({ shape }) => shape));
    for (const ring of drawn.layer.rings.filter(({ m }) => rule.measure === "distance_m" && m === rule.limit)) {
      ringLines(drawn.layer, ring).forEach(({ path, tag }) => ruleRings.addLayer(path).addLayer(tag));
    }
    const bounds = L.latLngBounds([]);
    found.forEach(({ shape }) => bounds.extend(boundsOf(shape.box)));
    if (bounds.isValid()) map.fitBounds(bounds, { maxZoom: 15, padding: [30, 30], animate: false });
  } else pointOut([]);
  onlyRule = sites.length ? new Set([...counts.hit, ...counts.unknown]) : null;
  redrawSites();
  const where = !found ? say(data.absent.find(({ id }) => id === rule.layer)?.why === "failed" ? "rule_failed" : "rule_withheld")
    : rule.kept === null ? say("rule_all", { n: found.length }) : say("rule_some", { n: rule.kept.length, perhaps: rule.perhaps.length });
  const test = `${words("measure", rule.measure)} ${rule.op} ${quantity(rule.limit, UNITS[rule.measure] ?? "")}`;
  const panel = byId("rule");
  panel.replaceChildren(
    node("h3", { tabindex: "-1" }, `${rule.id} · ${words("verdict", rule.effect)}`),
    node("p", {}, rule.says),
    rows([["basis", rule.basis], ["layer", layerTitles.get(rule.layer)], ["test", test], ["rule_who", rule.who || say("rule_everybody")], ["rule_where", where],
      ...(sites.length ? [["rule_hits", say("rule_counts", { hits: counts.hit.length, open: counts.unknown.length, decided: counts.decided.length })]] : [])]));
  if (sites.length) {
    const list = node("ul", { class: "plain" });
    for (const at of counts.decided.slice(0, 50)) list.append(node("li", {}, goButton(sentence(sites[at]), (from) => goTo(sites[at], from))));
    if (counts.decided.length > 50) list.append(node("li", {}, say("and_more", { n: counts.decided.length - 50 })));
    panel.append(list);
  }
  panel.append(button(say("rule_close"), closeRule, { class: "plain-button" }));
  panel.hidden = false;
  byId("rules").open = true;
  panel.querySelector("h3").focus();
  announce(`${rule.id} · ${where}`);
  remember();
}
function closeRule() {
  const was = rulePicked;
  rulePicked = onlyRule = null;
  ruleRings.clearLayers();
  pointOut([]);
  byId("rule").hidden = true;
  redrawSites();
  remember();
  if (was) byId("rule-list").querySelector(`[data-rule="${CSS.escape(was.id)}"]`)?.focus();
}
function listRules() {
  const list = byId("rule-list");
  if (!list) return;
  for (const rule of data.rules) {
    const counts = sitesOfRule.get(rule.id), open = button(rule.id, () => openRule(rule), { class: "go", "data-rule": rule.id });
    const tally = sites.length ? say("rule_tally", { hits: counts.hit.length, open: counts.unknown.length }) : "";
    list.append(node("li", {}, node("p", {}, open, ` ${words("verdict", rule.effect)} · ${layerTitles.get(rule.layer) ?? rule.layer}`, tally ? node("span", { class: "count" }, ` ${tally}`) : null),
      node("p", { class: "fine" }, rule.says)));
  }
}
