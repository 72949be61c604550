"use strict";
// Everything that moves on this page: the threshold with its two curves and counts, and the pictures beside the points.

const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const SIZE = 300, LEFT = 44, BOTTOM = 40, TOP = 12, RIGHT = 12;

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

const across = (share) => LEFT + share * (SIZE - LEFT - RIGHT);
const down = (share) => SIZE - BOTTOM - share * (SIZE - TOP - BOTTOM);

// What the scores of one class say of "this class or another" at a threshold: a score of at least that is positive.
function count(label, threshold) {
  const counts = { tp: 0, fp: 0, fn: 0, tn: 0 };
  data.labels.forEach((truth, i) => {
    const said = data.scores[i][label] >= threshold;
    counts[truth === label ? (said ? "tp" : "fn") : (said ? "fp" : "tn")] += 1;
  });
  return counts;
}

const ratio = (part, whole) => (whole > 0 ? part / whole : NaN);

function measures({ tp, fp, fn, tn }) {
  return {
    sensitivity: ratio(tp, tp + fn),
    specificity: ratio(tn, tn + fp),
    precision: ratio(tp, tp + fp),
    f1: ratio(2 * tp, 2 * tp + fp + fn),
  };
}

// The corners of both curves: one for each distinct score, from the highest down.
function curves(label) {
  const order = data.labels.map((truth, i) => [data.scores[i][label], truth === label]).sort((a, b) => b[0] - a[0]);
  const positives = order.filter(([, truth]) => truth).length;
  const negatives = order.length - positives;
  const roc = [[0, 0]], precisionRecall = [];
  let tp = 0, fp = 0;
  order.forEach(([score, truth], i) => {
    truth ? (tp += 1) : (fp += 1);
    if (i + 1 < order.length && order[i + 1][0] === score) return;
    roc.push([ratio(fp, negatives), ratio(tp, positives)]);
    precisionRecall.push([ratio(tp, positives), ratio(tp, tp + fp)]);
  });
  return { roc, precisionRecall, share: ratio(positives, order.length) };
}

function draw(id, points, chance, xLabel, yLabel) {
  const plot = document.getElementById(id);
  plot.replaceChildren();
  for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
    plot.append(element("line", { class: "grid", x1: across(tick), x2: across(tick), y1: down(0), y2: down(1) }));
    plot.append(element("line", { class: "grid", x1: across(0), x2: across(1), y1: down(tick), y2: down(tick) }));
    plot.append(element("text", { x: across(tick), y: down(0) + 14, "text-anchor": "middle" }, tick));
    plot.append(element("text", { x: across(0) - 6, y: down(tick) + 4, "text-anchor": "end" }, tick));
  }
  plot.append(element("text", { x: across(0.5), y: SIZE - 8, "text-anchor": "middle" }, xLabel));
  const side = { transform: `translate(12 ${down(0.5)}) rotate(-90)`, "text-anchor": "middle" };
  plot.append(element("text", side, yLabel));
  plot.append(element("polyline", { class: "chance", points: chance.map(([x, y]) => [across(x), down(y)]).join(" ") }));
  const known = points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
  plot.append(element("polyline", { class: "curve", points: known.map(([x, y]) => [across(x), down(y)]).join(" ") }));
  plot.append(element("circle", { class: "point", r: 6, cx: -20, cy: -20 }));
}

function place(id, x, y) {
  const point = document.querySelector(`#${id} .point`);
  const known = Number.isFinite(x) && Number.isFinite(y);
  point.setAttribute("cx", known ? across(x) : -20);
  point.setAttribute("cy", known ? down(y) : -20);
}

function startOperatingPoint() {
  const slider = document.getElementById("threshold");
  const chooser = document.getElementById("class");
  if (!slider) return;

  function move() {
    const threshold = Number(slider.value), label = Number(chooser.value);
    const counts = count(label, threshold), found = measures(counts);
    for (const [name, value] of Object.entries(counts)) document.getElementById(name).textContent = value;
    for (const [name, value] of Object.entries(found)) {
      document.getElementById(name).textContent = Number.isFinite(value) ? value.toFixed(4) : "0 / 0";
    }
    document.getElementById("threshold-value").textContent = threshold.toFixed(3);
    slider.setAttribute("aria-valuetext", `${threshold.toFixed(3)}: ${counts.tp} found, ${counts.fp} false alarms`);
    place("roc", 1 - found.specificity, found.sensitivity);
    place("precision-recall", found.sensitivity, found.precision);
  }

  function choose() {
    const { roc, precisionRecall, share } = curves(Number(chooser.value));
    draw("roc", roc, [[0, 0], [1, 1]], "false-alarm rate (1 - specificity)", "sensitivity (recall)");
    draw("precision-recall", precisionRecall, [[0, share], [1, share]], "recall (sensitivity)", "precision");
    move();
  }

  slider.addEventListener("input", move);
  chooser.addEventListener("input", choose);
  choose();
}

function startEmbedding() {
  const plot = document.getElementById("embedding");
  if (!plot) return;
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);

  function show(point) {
    const box = point.getBoundingClientRect();
    const image = document.createElement("img");
    image.src = data.thumbnails[Number(point.dataset.image)];
    image.alt = "";
    tip.replaceChildren(image, point.getAttribute("aria-label"));
    tip.style.left = `${Math.min(box.right + 8, window.innerWidth - 130)}px`;
    tip.style.top = `${Math.min(box.bottom + 8, window.innerHeight - 150)}px`;
    tip.hidden = false;
  }

  for (const kind of ["mouseover", "focusin"]) {
    plot.addEventListener(kind, (event) => event.target.matches("circle") && show(event.target));
  }
  for (const kind of ["mouseout", "focusout"]) plot.addEventListener(kind, () => (tip.hidden = true));
  // One stop for the Tab key; the arrow keys go from point to point.
  const points = [...plot.querySelectorAll("circle")];
  if (points.length) points[0].setAttribute("tabindex", "0");
  plot.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const at = points.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    const next = points[(at + step + points.length) % points.length];
    points[at].setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  });
}

startOperatingPoint();
startEmbedding();
