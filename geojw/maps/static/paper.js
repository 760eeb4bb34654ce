/* The sheet and the picture: both with title, legend, scale, date and the number of the map review. */
let before = null;
function paper(on) {
  const root = document.documentElement, panel = byId("panel");
  map.stop();
  if (on) { before = map.getBounds(); map.setMaxBounds(null); }
  root.classList.toggle("printing", on);   // the layout of the sheet, so that what is measured now is what is printed
  panel.scrollTop = byId("notices").scrollTop = 0;
  panel.style.zoom = 1;
  for (let i = 0; on && i < 4 && panel.scrollHeight > panel.clientHeight + 1; i++) {
    panel.style.zoom = panel.style.zoom * Math.max(0.6, 0.98 * panel.clientHeight / panel.scrollHeight);
  }
  map.invalidateSize({ animate: false });
  if (before) map.fitBounds(before, { animate: false });
  if (!on) map.setMaxBounds(limits.pad(1));
}
window.addEventListener("beforeprint", () => paper(true));
window.addEventListener("afterprint", () => paper(false));

const PIXELS = 2;            // of the picture for each of the screen
const SIDE = 250, HEAD = 34, FOOT = 58, LINE = 17;
function picture() {
  const size = map.getSize(), on = layers.filter((drawn) => drawn.on);
  const shown = data.verdicts.filter((verdict) => placed.some((site) => site.verdict === verdict && shownOnMap(site)));
  const entries = [...on].reverse().map(entryOf);
  const rowsHigh = 40 + (LINE + 4) * shown.length + entries.reduce((sum, { high }) => sum + high, 0);
  const width = size.x + SIDE, height = HEAD + Math.max(size.y, rowsHigh) + FOOT;
  const canvas = node("canvas", { width: width * PIXELS, height: height * PIXELS }), pen = canvas.getContext("2d");
  pen.scale(PIXELS, PIXELS);
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, width, height);
  pen.save();
  pen.beginPath();
  pen.rect(0, HEAD, size.x, size.y);
  pen.clip();
  pen.translate(0, HEAD);
  pictureMap(pen, size, on);
  pen.restore();
  pen.strokeStyle = "#333";
  pen.strokeRect(0.5, HEAD + 0.5, size.x - 1, size.y - 1);
  pictureFrame(pen, size, entries, shown, width, height);
  return canvas;
}
const fontOf = (size, weight = 400) => `${weight} ${size}px ${getComputedStyle(document.body).fontFamily}`;
const gauge = node("canvas").getContext("2d");
function wrapped(text, size, most) {   // lines that fit, broken between words or Chinese characters
  gauge.font = fontOf(size);
  const lines = [""];
  for (const piece of text.match(/[\u2e80-\uffff]|[^\s\u2e80-\uffff]+\s*|\s+/g) ?? []) {
    const longer = lines.at(-1) + piece;
    if (lines.at(-1) && gauge.measureText(longer.trimEnd()).width > most) lines.push(piece);
    else lines[lines.length - 1] = longer;
  }
  return lines;
}
function entryOf({ layer }) {   // of the legend
  const title = wrapped(layer.title, 12, SIDE - 50), source = wrapped(`${say(`status.${layer.status}`)} · ${layer.source}`, 9, SIDE - 50);
  return { layer, title, source, high: 6 + (LINE - 2) * title.length + (LINE - 5) * source.length };
}
function write(pen, text, x, y, { size = 12, weight = 400, colour = "#111", align = "left", halo = false, most } = {}) {
  pen.font = fontOf(size, weight);
  pen.textAlign = align;
  pen.textBaseline = "middle";
  let shownText = most ? text.slice(0, most) : text;   // no letter is narrower than a pixel; a name may have thousands
  while (most && shownText.length > 1 && pen.measureText(shownText).width > most) shownText = `${shownText.slice(0, -2)}…`;
  if (halo) { pen.lineWidth = 3; pen.strokeStyle = "#fff"; pen.setLineDash([]); pen.strokeText(shownText, x, y); }
  pen.fillStyle = colour;
  pen.fillText(shownText, x, y);
  return pen.measureText(shownText).width;
}
function pictureMap(pen, size, on) {
  const zoom = 2 ** map.getZoom(), origin = map.containerPointToLatLng([0, 0]), left = worldX(origin.lng) * zoom, top = worldY(origin.lat) * zoom;
  const place = (u, v) => [u * zoom - left, v * zoom - top];
  const item = (shape) => ({ shape, lines: shape.lines.map((line) => line.flatMap(([lon, lat]) => [worldX(lon), worldY(lat)])), box: [worldX(shape.box[0]), worldY(shape.box[3]), worldX(shape.box[2]), worldY(shape.box[1])] });
  pen.fillStyle = "#fffdf5";
  pen.fillRect(0, 0, size.x, size.y);
  const zones = on.filter(({ layer }) => layer.zone);
  for (const { layer } of on) {
    if (layer.zone) continue;
    const look = lookOf(layer), loose = { ...look, opacity: 0.06, dash: [3, 5] };   // somewhere in it
    const [apart, alike] = [true, false].map((own) => layer.features.filter(({ adrift, shade }) => (Boolean(adrift) || shade !== undefined) === own));
    paintAll(pen, alike.map(({ shape }) => item(shape)), look, place);
    apart.forEach(({ shape, adrift, shade }) => stroke(pen, item(shape), adrift ? loose : { ...look, opacity: shade ?? look.opacity }, place));
  }
  for (const { layer } of zones) {
    const outline = layer.features.map(({ shape }) => item(shape));
    pen.beginPath();
    pen.rect(0, 0, size.x, size.y);
    outline.flatMap(({ lines }) => lines).forEach((flat) => { for (let i = 0; i < flat.length; i += 2) { const [x, y] = place(flat[i], flat[i + 1]); i ? pen.lineTo(x, y) : pen.moveTo(x, y); } });
    pen.fillStyle = "rgba(228,231,234,0.66)";
    pen.fill("evenodd");
    outline.forEach((one) => stroke(pen, one, { color: layer.paint.colour, weight: layer.paint.weight }, place));
  }
  const line = (ends, style) => stroke(pen, { shape: { kind: 1 }, lines: [ends.flatMap(([lon, lat]) => [worldX(lon), worldY(lat)])], box: [0, 0, 0, 0] }, style, place);
  for (const { layer } of on) {
    if (layer.kind === "point") layer.rings.forEach((ring) => ringLines(layer, ring).forEach((ringLine) => line(ringLine.line, { color: layer.paint.colour, weight: 1.6, dash: [7, 4] })));
  }
  ruleRings.eachLayer((one) => { if (one.getLatLngs) line(one.getLatLngs().map(({ lng, lat }) => [lng, lat]), { color: "#333", weight: 1.6, dash: [7, 4] }); });
  if (siteTiles) siteTiles._items.forEach((one) => { const style = tileStyle(one.ref); if (style) stroke(pen, one, style, place); });
  else placed.filter(shownOnMap).forEach((site) => stroke(pen, item(site.shape), tileStyle(site), place));
  const view = map.getBounds(), step = gridStep(view, size.x);
  for (let k = Math.ceil(view.getWest() / step); k * step < view.getEast(); k++) line([[k * step, view.getSouth()], [k * step, view.getNorth()]], { color: "#6f7c86", weight: 0.5, dash: [2, 4] });
  for (let k = Math.ceil(view.getSouth() / step); k * step < view.getNorth(); k++) line([[view.getWest(), k * step], [view.getEast(), k * step]], { color: "#6f7c86", weight: 0.5, dash: [2, 4] });
  for (let k = Math.ceil(view.getWest() / step); k * step < view.getEast(); k++) write(pen, degrees(k * step, step) + "E", map.latLngToContainerPoint([0, k * step]).x, 9, { size: 10, align: "center", halo: true, colour: "#333" });
  for (let k = Math.ceil(view.getSouth() / step); k * step < view.getNorth(); k++) write(pen, degrees(k * step, step) + "N", size.x - 3, map.latLngToContainerPoint([k * step, 0]).y, { size: 10, align: "right", halo: true, colour: "#333" });
  symbolGroup.eachLayer((marker) => pictureSymbol(pen, map.latLngToContainerPoint(marker.getLatLng()), marker.options.icon.options.html));
  document.querySelectorAll(".leaflet-labels-pane .tag-on-map:not(.gone)").forEach((tag) => {
    const at = tag.getBoundingClientRect(), frame = map.getContainer().getBoundingClientRect();
    write(pen, tag.textContent, at.left - frame.left, at.top - frame.top + at.height / 2, { size: 12, weight: 600, halo: true, colour: "#08306b" });
  });
  if (data.mark) pictureMark(pen, size);
}
const hatches = new Map();
function hatch(pen, { colour, opacity, hatch: kind }) {   // 8 divides the side of a tile, so that lines run on
  const key = `${colour} ${opacity} ${kind}`;
  if (hatches.has(key)) return hatches.get(key);
  const tile = node("canvas", { width: 8 * PIXELS, height: 8 * PIXELS }), ink = tile.getContext("2d");
  ink.scale(PIXELS, PIXELS);
  ink.strokeStyle = colour;
  ink.globalAlpha = Math.min(1, 0.4 + opacity);
  ink.lineWidth = 1.2;
  ink.beginPath();
  for (const shift of [-8, 0, 8]) {
    ink.moveTo(shift, 8); ink.lineTo(shift + 8, 0);
    if (kind === "cross") { ink.moveTo(shift, 0); ink.lineTo(shift + 8, 8); }
  }
  ink.stroke();
  const made = pen.createPattern(tile, "repeat");
  made.setTransform(new DOMMatrix().scale(1 / PIXELS));
  hatches.set(key, made);
  return made;
}
function pictureSymbol(pen, { x, y }, html) {
  const made = html.querySelector(".symbol"), verdict = data.verdicts.find((word) => made.classList.contains(word)), more = made.querySelector(".more");
  drawSymbol(pen, x, y, verdict, 11);
  if (more) write(pen, more.textContent, x + 9, y - 12, { size: 10, halo: true });
  const name = html.querySelector(".name");
  if (name) write(pen, name.textContent, x + 16, y, { weight: 600, halo: true, most: 240 });
}
function drawSymbol(pen, x, y, verdict, radius) {
  const square = verdict === "prohibit" || verdict === "undetermined";
  pen.setLineDash([]);
  for (const [grow, fill] of [[2.5, "#222"], [1.2, "#fff"], [0, colourOf(verdict)]]) {
    pen.fillStyle = fill;
    pen.beginPath();
    square ? pen.rect(x - radius - grow, y - radius - grow, 2 * (radius + grow), 2 * (radius + grow)) : pen.arc(x, y, radius + grow, 0, 7);
    pen.fill();
  }
  write(pen, say(`short.${verdict}`), x, y + 0.5, { size: radius + 2, weight: 700, colour: inkOf(verdict), align: "center" });
}
function pictureMark(pen, size) {
  pen.save();
  pen.rotate(-Math.PI / 8);
  pen.globalAlpha = 0.3;
  const look = { size: 24, weight: 700, colour: "#8a1c1c" }, along = write(pen, data.mark, 0, -2 * size.x, look) + 60;
  for (let y = -100, row = 0; y < size.y + size.x; y += 170, row++) {
    for (let x = -size.y - (row % 2) * along / 2; x < size.x + size.y; x += along) write(pen, data.mark, x, y, look);
  }
  pen.restore();
}
function pictureFrame(pen, size, entries, shown, width, height) {
  write(pen, data.title, 8, HEAD / 2, { size: 16, weight: 700, most: width - 200 });
  write(pen, say(`audience.${data.audience}`), width - 8, HEAD / 2, { size: 13, weight: 700, align: "right" });
  const left = size.x + 12;
  let y = HEAD + 14;
  write(pen, say("legend"), left, y, { size: 13, weight: 700 });
  for (const verdict of shown) {
    y += LINE + 4;
    drawSymbol(pen, left + 8, y, verdict, 7);
    write(pen, words("verdict", verdict), left + 34, y);
  }
  y += LINE + 8;
  for (const { layer, title, source, high } of entries) {
    const { paint } = layer;
    pen.setLineDash(paint.dash?.split(/[ ,]+/).map(Number) ?? []);
    pen.lineWidth = Math.min(2, paint.weight);
    pen.strokeStyle = paint.colour;
    pen.fillStyle = paint.hatch ? hatch(pen, paint) : paint.colour;
    pen.globalAlpha = paint.hatch ? 1 : paint.opacity;
    if (layer.kind === "point") { pen.globalAlpha = 1; pen.beginPath(); pen.arc(left + 12, y, 4, 0, 7); pen.fill(); } else { if (!layer.zone) pen.fillRect(left, y - 6, 24, 12); pen.globalAlpha = 1; pen.strokeRect(left, y - 6, 24, 12); }
    pen.globalAlpha = 1;
    title.forEach((line, i) => write(pen, line, left + 34, y + (LINE - 2) * i, { most: SIDE - 46 }));
    source.forEach((line, i) => write(pen, line, left + 34, y + (LINE - 2) * title.length + (LINE - 5) * i - 2, { size: 9, colour: "#555", most: SIDE - 46 }));
    y += high;
  }
  const metres = scaleLength(), bar = metres.px;
  const foot = height - FOOT + 16;
  pen.setLineDash([]);
  pen.strokeStyle = "#111";
  pen.lineWidth = 1.5;
  pen.beginPath();
  pen.moveTo(10, foot - 6); pen.lineTo(10, foot); pen.lineTo(10 + bar, foot); pen.lineTo(10 + bar, foot - 6);
  pen.stroke();
  write(pen, length(metres.m), 16 + bar, foot - 3);
  write(pen, `▲ ${say("north_letter")}`, 120 + bar, foot - 3, { weight: 700 });
  write(pen, data.review ? say("review", { number: data.review }) : data.mark ?? say("not_reviewed"), 10, foot + 16, { size: 12, weight: 700, colour: data.review ? "#111" : "#8a1c1c" });
  write(pen, [...(basesOn.size ? [say("base_not_saved")] : []), ...data.facts.slice(0, 1).map((pair) => pair.join(" ")), data.notices.at(0) ?? "", say("not_legal")].join(" · "), 10, foot + 34, { size: 10, colour: "#444", most: width - 20 });
}
function scaleLength() {
  const y = map.getSize().y / 2, most = geodesic_m(lonlatAt(0, y), lonlatAt(130, y));
  const digits = 10 ** Math.floor(Math.log10(most)), m = [5, 3, 2, 1].map((k) => k * digits).find((value) => value <= most) ?? digits;
  return { m, px: 130 * m / most };
}
function lonlatAt(x, y) { const { lng, lat } = map.containerPointToLatLng([x, y]); return [lng, lat]; }
function savePicture() {
  picture().toBlob((blob) => save("map.png", "image/png", [blob]), "image/png");
  announce(say("picture_saved"));
}
