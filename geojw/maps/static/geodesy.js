/* Distance and area on the CGCS2000 ellipsoid (GeographicLib), and the zone's equal-area plane, the one that geojw measures in. */
const A = 6378137, F = 1 / 298.257222101, E2 = F * (2 - F), E = Math.sqrt(E2);
const ellipsoid = new geodesic.Geodesic.Geodesic(A, F);
const RADIAN = Math.PI / 180;
function geodesic_m([lon1, lat1], [lon2, lat2]) {
  return ellipsoid.Inverse(lat1, lon1, lat2, lon2, geodesic.Geodesic.DISTANCE).s12;
}
function geodesicArea_m2(ring) {
  const polygon = ellipsoid.Polygon(false);
  ring.forEach(([lon, lat]) => polygon.AddPoint(lat, lon));
  return Math.abs(polygon.Compute(false, true).area);
}
function circle([lon, lat], metres, vertices = 360) {
  return Array.from({ length: vertices + 1 }, (_, i) => {
    const end = ellipsoid.Direct(lat, lon, (i % vertices) * 360 / vertices, metres);
    return [end.lon2, end.lat2];
  });
}
// Lambert azimuthal equal area on the ellipsoid (EPSG method 9820), centred as the zone pack says.
const authalic = (sine) => (1 - E2) * (sine / (1 - E2 * sine * sine) - Math.log((1 - E * sine) / (1 + E * sine)) / (2 * E));
const POLE = authalic(1), [LON0, LAT0] = data.centre.map((value) => value * RADIAN);
const BETA0 = Math.asin(authalic(Math.sin(LAT0)) / POLE), RQ = A * Math.sqrt(POLE / 2);
const D = A * Math.cos(LAT0) / Math.sqrt(1 - E2 * Math.sin(LAT0) ** 2) / (RQ * Math.cos(BETA0));
function plane([lon, lat]) {
  const beta = Math.asin(Math.max(-1, Math.min(1, authalic(Math.sin(lat * RADIAN)) / POLE))), away = lon * RADIAN - LON0;
  const b = RQ * Math.sqrt(2 / (1 + Math.sin(BETA0) * Math.sin(beta) + Math.cos(BETA0) * Math.cos(beta) * Math.cos(away)));
  return [b * D * Math.cos(beta) * Math.sin(away), (b / D) * (Math.cos(BETA0) * Math.sin(beta) - Math.sin(BETA0) * Math.cos(beta) * Math.cos(away))];
}
const EDGE_M = 100;   // longer edges are split in degrees, where they are straight, before they are projected
function planar(line) {
  const xy = [], lonlat = [];
  line.forEach((end, i) => {
    if (i) {
      const start = line[i - 1], east = (end[0] - start[0]) * Math.cos(end[1] * RADIAN), metres = Math.hypot(east, end[1] - start[1]) * RADIAN * 6371000;
      const parts = Math.ceil(metres / EDGE_M);
      for (let k = 1; k < parts; k++) lonlat.push([start[0] + (end[0] - start[0]) * k / parts, start[1] + (end[1] - start[1]) * k / parts]);
    }
    lonlat.push(end);
  });
  for (const at of lonlat) xy.push(plane(at));
  return { xy, lonlat };
}
const planes = new Map();
function planesOf(feature) {   // made when first asked for: most readers never ask
  if (!planes.has(feature)) planes.set(feature, feature.shape.lines.map(planar));
  return planes.get(feature);
}
function nearestOnEdge([px, py], [ax, ay], [bx, by]) {
  const dx = bx - ax, dy = by - ay, square = dx * dx + dy * dy;
  const t = square === 0 ? 0 : Math.max(0, Math.min(1, ((px - ax) * dx + (py - ay) * dy) / square));
  return [Math.hypot(px - ax - t * dx, py - ay - t * dy), t];
}
function crosses([ax, ay], [bx, by], [cx, cy], [dx, dy]) {
  const side = (px, py, qx, qy, rx, ry) => (qx - px) * (ry - py) - (qy - py) * (rx - px);
  return side(ax, ay, bx, by, cx, cy) * side(ax, ay, bx, by, dx, dy) <= 0 && side(cx, cy, dx, dy, ax, ay) * side(cx, cy, dx, dy, bx, by) <= 0;
}
function insideRings([x, y], rings) {   // even-odd over all rings of a polygon, holes and parts alike
  let inside = false;
  for (const ring of rings) {
    for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
      const [xi, yi] = ring[i], [xj, yj] = ring[j];
      if ((yi > y) !== (yj > y) && x < (xj - xi) * (y - yi) / (yj - yi) + xi) inside = !inside;
    }
  }
  return inside;
}
const between = (a, b, t) => [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t];
// The nearest points of two outlines, as [metres in the plane, place on the first, place on the second].
function nearestPair(first, second) {
  let best = [Infinity, null, null];
  const probe = (points, edges, swap) => {
    for (const { xy, lonlat } of points) {
      xy.forEach((p, k) => {
        for (const other of edges) {
          const n = other.xy.length;
          if (n === 1) {
            const away = Math.hypot(p[0] - other.xy[0][0], p[1] - other.xy[0][1]);
            if (away < best[0]) best = swap ? [away, other.lonlat[0], lonlat[k]] : [away, lonlat[k], other.lonlat[0]];
          }
          for (let i = 1; i < n; i++) {
            const [away, t] = nearestOnEdge(p, other.xy[i - 1], other.xy[i]);
            if (away < best[0]) {
              const at = between(other.lonlat[i - 1], other.lonlat[i], t);
              best = swap ? [away, at, lonlat[k]] : [away, lonlat[k], at];
            }
          }
        }
      });
    }
  };
  probe(first, second, false);
  if (first.some(({ xy }) => xy.length > 1)) probe(second, first, true);
  return best;
}
