#include "launch/report/page_parts.h"

namespace troupe::report_page {

std::string_view script() {
  return R"js(
"use strict";
(() => {
const data = JSON.parse(document.getElementById("troupe-data").textContent);
const tip = document.getElementById("tip");
const column = (run, field) => field.split(".").reduce((at, key) => at[key], data.runs[run].rows);
const text = v => v === null || v === undefined ? "none" :
  Math.abs(v) >= 1e15 || (v !== 0 && Math.abs(v) < 1e-3) ? v.toExponential(3) :
  Number.isInteger(v) ? v.toLocaleString("en").replaceAll(",", " ") :
  Math.abs(v) >= 1000 ? Math.round(v).toLocaleString("en").replaceAll(",", " ") : String(Number(v.toPrecision(5)));
const line = (className, label, value) => {
  const row = document.createElement("div");
  const key = document.createElement("i");
  key.className = "key " + className;
  const name = document.createTextNode(label);
  const number = document.createElement("span");
  number.textContent = value;
  row.append(key, name, number);
  return row;
};
const show = (x, y, title, rows) => {
  const head = document.createElement("b");
  head.textContent = title;
  tip.replaceChildren(head, ...rows);
  tip.style.display = "block";
  const box = tip.getBoundingClientRect();
  const left = x + 16 + box.width > innerWidth ? x - 16 - box.width : x + 16;
  tip.style.left = Math.max(4, left) + "px";
  tip.style.top = Math.max(4, Math.min(y + 14, innerHeight - box.height - 4)) + "px";
};
const mark = (plot, className) => {
  const element = document.createElement("div");
  element.className = className;
  plot.append(element);
  return element;
};
const nearest = (values, wanted) => {
  let low = 0, high = values.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (values[middle] < wanted) low = middle; else high = middle;
  }
  return Math.abs(values[low] - wanted) <= Math.abs(values[high] - wanted) ? low : high;
};
for (const plot of document.querySelectorAll(".plot[data-chart]")) {
  const chart = data.charts[plot.dataset.chart];
  const x0 = Number(plot.dataset.x0), x1 = Number(plot.dataset.x1);
  const cross = mark(plot, "cross");
  const series = chart.series.map(s => {
    const x = [], y = [];
    const xs = column(s.run, chart.x), ys = column(s.run, s.field);
    ys.forEach((v, i) => { if (v !== null || !s.sparse) { x.push(xs[i] / chart.x_scale); y.push(v); } });
    return {...s, x, y};
  }).filter(s => s.x.length > 0);
  if (series.length === 0) continue;
  let at = null;
  const read = (wanted, y) => {
    const first = series.reduce((best, s) => {
      const x = s.x[nearest(s.x, wanted)];
      return best === null || Math.abs(x - wanted) < Math.abs(best - wanted) ? x : best;
    }, null);
    at = first;
    const box = plot.getBoundingClientRect();
    const place = (first - x0) / (x1 - x0);
    cross.style.left = 100 * place + "%";
    cross.style.display = "block";
    const rows = series.map(s => {
      const i = nearest(s.x, first);
      const other = s.x[i] !== first ? " at " + text(s.x[i]) : "";
      return line(s.key, s.label + other, text(s.y[i] === null ? null : s.y[i] * s.scale) + (s.suffix || ""));
    });
    show(box.left + place * box.width, y === null ? box.top : y, text(first) + " " + chart.x_label, rows);
  };
  const hide = () => { cross.style.display = tip.style.display = "none"; };
  plot.addEventListener("pointermove", e => {
    const box = plot.getBoundingClientRect();
    read(x0 + (e.clientX - box.left) / box.width * (x1 - x0), e.clientY);
  });
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("blur", hide);
  plot.addEventListener("keydown", e => {
    const xs = series[0].x;
    const now = at === null ? -1 : nearest(xs, at);
    const next = {ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: xs.length - 1}[e.key];
    if (e.key === "Escape") hide();
    if (next === undefined) return;
    e.preventDefault();
    read(xs[Math.max(0, Math.min(xs.length - 1, next))], null);
  });
}
for (const plot of document.querySelectorAll(".plot[data-heat]")) {
  const map = data.heat[plot.dataset.heat];
  const cell = mark(plot, "cell");
  let row = 0, col = -1;
  const read = (r, c) => {
    row = Math.max(0, Math.min(map.rows.length - 1, r));
    col = Math.max(0, Math.min(map.columns.length - 1, c));
    const box = plot.getBoundingClientRect();
    const w = 100 / map.columns.length, h = 100 / map.rows.length;
    Object.assign(cell.style, {display: "block", left: col * w + "%", top: row * h + "%", width: w + "%", height: h + "%"});
    const value = map.values[row][col];
    show(box.left + (col + 1) * w / 100 * box.width, box.top + (row + 1) * h / 100 * box.height,
         map.rows[row] + ", " + map.columns[col],
         [line("", "load over the mean", value === null ? "none" : value.toFixed(2))]);
  };
  const hide = () => { cell.style.display = tip.style.display = "none"; };
  plot.addEventListener("pointermove", e => {
    const box = plot.getBoundingClientRect();
    read(Math.floor((e.clientY - box.top) / box.height * map.rows.length),
         Math.floor((e.clientX - box.left) / box.width * map.columns.length));
  });
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("blur", hide);
  plot.addEventListener("keydown", e => {
    const step = {ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [-1, 0], ArrowDown: [1, 0]}[e.key];
    if (e.key === "Escape") hide();
    if (step === undefined) return;
    e.preventDefault();
    read(row + step[0], col + step[1]);
  });
}
document.documentElement.dataset.ready = "yes";
})();
)js";
}

}  // namespace troupe::report_page
