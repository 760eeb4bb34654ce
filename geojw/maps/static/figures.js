/* Tables of figures: a row shows the layers that it is about, or goes to its place or its site. */
function showRow(table, row, from) {
  const { layers: wanted, at, site } = table.rows[row];
  if (site !== null) { goTo(sites[site], from); return; }
  const others = new Set(table.rows.flatMap((one) => one.layers));
  others.forEach((number) => setLayer(layers[number], wanted.includes(number)));
  if (at.length) { goToFeature(layers[wanted[0]].layer.features[at[0]], from); return; }
  const bounds = L.latLngBounds([]);
  wanted.forEach((number) => layers[number].layer.features.forEach(({ shape }) => bounds.extend(boundsOf(shape.box))));
  if (bounds.isValid()) map.fitBounds(bounds, { maxZoom: 15, padding: [20, 20], animate: false });
  announce(say("shown", { title: wanted.map((number) => layers[number].layer.title).join(say("and")) }));
}
document.querySelectorAll("[data-table]").forEach((choice) => choice.addEventListener("click", () => showRow(data.tables[Number(choice.dataset.table)], Number(choice.dataset.row), choice)));
