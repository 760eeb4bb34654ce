/* Start. */
const box = map.getContainer();
box.setAttribute("role", "application");
box.setAttribute("aria-label", say("map_label"));
box.addEventListener("keydown", pickKeys);
box.addEventListener("keydown", (event) => { if (event.key === "Escape") map.closePopup(); });
map.attributionControl.setPrefix("Leaflet");
L.control.zoom({ position: "topleft", zoomInTitle: say("zoom_in"), zoomOutTitle: say("zoom_out") }).addTo(map);
const fit = () => map.fitBounds(data.view, { animate: false, paddingTopLeft: [12, 20], paddingBottomRight: [12, map.getSize().x < 600 ? 62 : 40] });   // clear of grid labels and scale
const wholeScreen = document.fullscreenEnabled
  ? tool("full_screen", () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen())) : null;
wholeScreen?.setAttribute("aria-pressed", "false");
document.addEventListener("fullscreenchange", () => wholeScreen?.setAttribute("aria-pressed", String(document.fullscreenElement !== null)));
control("topleft", tool("whole", fit), tool("measure_tool", () => pick("measure")),
  wholeScreen, tool("picture", savePicture), tool("print", () => window.print()));
const north = L.control({ position: "topright" });
north.onAdd = () => node("div", { class: "north", role: "img", "aria-label": say("north") }, "▲", node("br"), say("north_letter"));
north.addTo(map);
new Scale({ imperial: false, maxWidth: 130 }).addTo(map);
const review = L.control({ position: "bottomleft" });
review.onAdd = () => node("div", { class: "review" }, data.review ? say("review", { number: data.review }) : data.mark ?? say("not_reviewed"));
review.addTo(map);
fit();
siteGroup.addTo(map);   // not before: it would be drawn twice
map.setMinZoom(7).setMaxZoom(19).setMaxBounds(limits.pad(1));
map.on("click", ({ latlng }) => {
  if (picking) { addPick(latlng); return; }
  const [site] = siteTiles ? siteTiles.at(latlng) : [];
  if (site) { openSite(site.ref, latlng, null); return; }
  const [feature] = featuresUnder(latlng);
  if (feature) openFeature(feature, latlng, null);
});
map.on("zoomend", () => { dots(); switchLabels(); });
map.on("moveend resize", () => { symbols(); grid(); arrangeLabels(); remember(); });
listRules();
baseMaps();
dots(); symbols(); grid(); fill();
recall();
remembering = true;
new ResizeObserver(() => map.invalidateSize({ animate: false })).observe(box);
window.geojw = { check: checkPlace, metres: geodesic_m, plane, csv: () => csv(sites), geojson: () => features(sites), picture };
document.documentElement.dataset.ready = "yes";
