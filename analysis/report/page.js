"use strict";
(() => {
  const table = document.getElementById("table"), body = table.tBodies[0];
  const rows = Array.from(body.rows), shown = document.getElementById("shown");
  const key = (row, i) => row.cells[i].dataset.key ?? row.cells[i].textContent;

  // Sorting: a column's button turns ascending, descending; missing values stay last.
  table.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const head = button.closest("th"), column = Number(button.dataset.column), number = button.dataset.number === "1";
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const keyed = rows.map((row, i) => [key(row, column), i, row]);
    keyed.sort((a, b) => {
      if (a[0] === "" || b[0] === "") return (a[0] === "") - (b[0] === "") || a[1] - b[1];
      const order = number ? Number(a[0]) - Number(b[0]) : a[0].localeCompare(b[0], "en", { numeric: true });
      return (down ? -order : order) || a[1] - b[1];
    });
    const sorted = document.createDocumentFragment();
    for (const [, , row] of keyed) sorted.append(row);
    body.append(sorted);
  });

  // Filtering: every word must stand somewhere in the row.
  const texts = rows.map((row) => row.textContent.toLowerCase() + " " + Array.from(row.cells, (c) => c.textContent.toLowerCase()).join(" "));
  const filter = document.getElementById("filter");
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    rows.forEach((row, i) => {
      const keep = words.every((word) => texts[i].includes(word));
      row.hidden = !keep;
      count += keep;
    });
    shown.textContent = `${count} of ${rows.length} rows`;
  });

  // Training curves: drawn on a canvas, the nearest point named on hover.
  const runs = JSON.parse(document.getElementById("data").textContent).runs;
  const canvas = document.getElementById("plot");
  if (!canvas) return;
  const hover = document.getElementById("hover"), choice = document.getElementById("run");
  const pen = canvas.getContext("2d"), edge = { left: 56, right: 12, top: 12, bottom: 34 };
  const all = runs.flatMap((run) => run.y.filter((v) => v !== null)).sort((a, b) => a - b);
  const reach = Math.max(1, ...runs.map((run) => run.x[run.x.length - 1] ?? 1));
  const low = all[0] ?? 0, top = all[Math.floor(all.length * 0.97)] ?? 1;
  const base = Math.min(0, low), high = base + (top - base) * 1.25 || 1;
  let chosen = -1, size = { width: 0, height: 0 };
  const px = (x) => edge.left + (x / reach) * (size.width - edge.left - edge.right);
  const py = (y) => size.height - edge.bottom - ((y - base) / (high - base)) * (size.height - edge.top - edge.bottom);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const short = (v) => v >= 1e9 ? (v / 1e9).toPrecision(3) + "B" : v >= 1e6 ? (v / 1e6).toPrecision(3) + "M" : v >= 1e3 ? (v / 1e3).toPrecision(3) + "K" : String(Math.round(v));

  const nice = (v) => { const p = 10 ** Math.floor(Math.log10(v)), m = v / p; return (m < 1.5 ? 1 : m < 3.5 ? 2 : m < 7.5 ? 5 : 10) * p; };

  const line = (run) => {
    pen.beginPath();
    let open = false;
    run.x.forEach((x, i) => {
      if (run.y[i] === null) { open = false; return; }
      if (open) pen.lineTo(px(x), py(run.y[i])); else pen.moveTo(px(x), py(run.y[i]));
      open = true;
    });
    pen.stroke();
  };
  const draw = () => {
    const scale = window.devicePixelRatio || 1;
    size = { width: canvas.clientWidth, height: canvas.clientHeight };
    canvas.width = size.width * scale; canvas.height = size.height * scale;
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, size.width, size.height);
    pen.font = "12px system-ui, sans-serif"; pen.fillStyle = colour("--quiet"); pen.strokeStyle = colour("--line"); pen.lineWidth = 1;
    const step = nice((high - base) / 5), stride = nice(reach / 5);
    pen.textAlign = "right";
    for (let y = Math.ceil(base / step) * step; y < high - step / 4; y += step) {
      pen.beginPath(); pen.moveTo(edge.left, py(y)); pen.lineTo(size.width - edge.right, py(y)); pen.stroke();
      pen.fillText(Number(y.toPrecision(6)), edge.left - 6, py(y) + 4);
    }
    pen.textAlign = "center";
    for (let x = 0; x <= reach; x += stride) pen.fillText(short(x), Math.min(px(x), size.width - 24), size.height - 18);
    pen.textAlign = "left"; pen.fillText("loss", 4, 12);
    pen.textAlign = "center"; pen.fillText("images seen", size.width / 2, size.height - 3);
    pen.save(); pen.beginPath(); pen.rect(edge.left, edge.top, size.width - edge.left - edge.right, size.height - edge.top - edge.bottom); pen.clip();
    pen.globalAlpha = Math.max(0.12, Math.min(0.8, 12 / runs.length)); pen.strokeStyle = colour("--accent");
    runs.forEach((run, i) => { if (i !== chosen) line(run); });
    if (chosen >= 0) { pen.globalAlpha = 1; pen.lineWidth = 2.5; pen.strokeStyle = colour("--bad"); line(runs[chosen]); }
    pen.restore();
  };
  const say = (i, k) => {
    const run = runs[i], known = run.y.map((v, j) => [v, j]).filter(([v]) => v !== null);
    const at = k ?? (known.length ? known[known.length - 1][1] : -1);
    hover.textContent = at < 0 ? `${run.name}: no finite loss` : `${run.name} (${run.id.slice(0, 8)}): loss ${run.y[at]} at ${run.x[at].toLocaleString("en")} images`;
  };
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect(), mx = event.clientX - box.left, my = event.clientY - box.top;
    let best = 900, found = null;
    runs.forEach((run, i) => run.x.forEach((x, k) => {
      if (run.y[k] === null) return;
      const d = (px(x) - mx) ** 2 + (py(run.y[k]) - my) ** 2;
      if (d < best) { best = d; found = [i, k]; }
    }));
    const now = found ? found[0] : Number(choice.value);
    if (now !== chosen) { chosen = now; draw(); }
    if (found) say(...found);
  });
  canvas.addEventListener("pointerleave", () => { chosen = Number(choice.value); draw(); });
  choice.addEventListener("change", () => { chosen = Number(choice.value); draw(); if (chosen >= 0) say(chosen); });
  window.addEventListener("resize", draw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
})();
