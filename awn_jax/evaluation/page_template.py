"""The page of `evaluation.html`: one file, no network, no library. `$title` and `$data` are filled in."""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --right: #1a7f37; --wrong: #cf222e; --line: #0969da; --soft: #8885; }
body { font: 16px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .2rem; }
p { margin: .2rem 0 1rem; }
#panel { position: sticky; top: 0; background: Canvas; padding: .6rem 0; border-bottom: 1px solid var(--soft); }
#slider { width: 100%; accent-color: var(--line); }
#facts { display: flex; flex-wrap: wrap; gap: .4rem 2rem; margin: .4rem 0; }
#facts div { min-width: 7.5rem; }
#facts b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
#facts span, .label { font-size: .85rem; opacity: .75; }
svg { width: 100%; height: 11rem; margin-top: .8rem; }
svg text { font-size: 11px; fill: currentColor; opacity: .75; }
#samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.6rem, 1fr)); gap: .8rem; margin-top: 1rem; }
.sample { border: 2px solid var(--right); border-radius: .5rem; padding: .5rem; }
.sample.wrong { border-color: var(--wrong); }
.sample img { width: 100%; image-rendering: pixelated; border-radius: .25rem; display: block; }
.answer { display: flex; justify-content: space-between; font-variant-numeric: tabular-nums; }
.right .answer { color: var(--right); }
.wrong .answer { color: var(--wrong); }
.bar { height: .35rem; background: var(--soft); border-radius: .2rem; overflow: hidden; }
.bar div { height: 100%; background: currentColor; }
</style>
</head>
<body>
<h1>$title</h1>
<p id="about"></p>
<div id="panel">
  <label for="slider">Width <output id="width"></output></label>
  <input id="slider" type="range" min="0" step="1">
  <div id="facts" aria-live="polite">
    <div><span>test accuracy</span><b id="top1"></b></div>
    <div><span>multiply-accumulates</span><b id="macs"></b></div>
    <div><span>parameters</span><b id="params"></b></div>
    <div><span>latency, one image</span><b id="latency"></b></div>
    <div><span>right, of those below</span><b id="right"></b></div>
  </div>
</div>
<svg id="curve" viewBox="0 0 900 180" role="img" aria-label="test accuracy over width"></svg>
<div id="samples"></div>
<script id="data" type="application/json">$data</script>
<script>
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const at = id => document.getElementById(id);
const make = (tag, parent, name) => {
  const element = document.createElement(tag);
  if (name) element.className = name;
  return parent.appendChild(element);
};
const short = n => n >= 1e9 ? (n / 1e9).toFixed(2) + " G" : n >= 1e6 ? (n / 1e6).toFixed(2) + " M"
  : n >= 1e3 ? (n / 1e3).toFixed(1) + " k" : String(n);

at("about").textContent = data.about;
const slider = at("slider");
slider.max = data.rows.length - 1;

const cards = data.samples.map(sample => {
  const card = make("div", at("samples"), "sample");
  const image = make("img", card);
  image.src = sample.image;
  image.alt = "test image " + sample.number + ", a " + sample.label;
  make("div", card, "label").textContent = "is " + sample.label;
  const answer = make("div", card, "answer");
  const prediction = make("b", answer, "prediction"), confidence = make("span", answer, "confidence");
  return {card, prediction, confidence, fill: make("div", make("div", card, "bar"))};
});

const svg = (tag, attributes) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return at("curve").appendChild(element);
};
const tops = data.rows.map(row => row.top1), low = Math.min(...tops), high = Math.max(...tops);
const first = data.rows[0].width, span = Math.max(data.rows[data.rows.length - 1].width - first, 1e-9);
const x = row => 60 + 820 * (row.width - first) / span;
const y = row => 150 - 130 * (row.top1 - low) / Math.max(high - low, 1e-9);
svg("polyline", {points: data.rows.map(row => x(row) + "," + y(row)).join(" "), fill: "none",
                 stroke: "var(--line)", "stroke-width": 2});
svg("text", {x: 0, y: 24}).textContent = (100 * high).toFixed(2) + " %";
svg("text", {x: 0, y: 154}).textContent = (100 * low).toFixed(2) + " %";
svg("text", {x: 60, y: 175}).textContent = "width " + first.toFixed(2);
svg("text", {x: 880, y: 175, "text-anchor": "end"}).textContent = data.rows[data.rows.length - 1].width.toFixed(2);
const dot = svg("circle", {r: 6, fill: "var(--line)"});

function show() {
  const n = Number(slider.value), row = data.rows[n];
  at("width").textContent = row.width.toFixed(3);
  at("top1").textContent = (100 * row.top1).toFixed(2) + " %";
  at("macs").textContent = short(row.macs);
  at("params").textContent = short(row.params);
  at("latency").textContent = row.latency_ms === null ? "not measured" : row.latency_ms.toFixed(3) + " ms";
  dot.setAttribute("cx", x(row));
  dot.setAttribute("cy", y(row));
  let right = 0;
  data.samples.forEach((sample, i) => {
    const [prediction, confidence] = sample.answers[n], isRight = prediction === sample.label;
    right += isRight;
    cards[i].card.className = "sample " + (isRight ? "right" : "wrong");
    cards[i].prediction.textContent = (isRight ? "✓ " : "✗ ") + prediction;
    cards[i].confidence.textContent = (100 * confidence).toFixed(1) + " %";
    cards[i].fill.style.width = 100 * confidence + "%";
  });
  at("right").textContent = right + " / " + data.samples.length;
}

// #width=0.5 opens the page at the nearest width.
function follow() {
  const wanted = Number((location.hash.match(/width=([0-9.]+)/) || [])[1]);
  const distance = row => Math.abs(row.width - wanted);
  slider.value = wanted ? data.rows.reduce((best, row, n) => distance(row) < distance(data.rows[best]) ? n : best, 0)
    : data.rows.length - 1;
  show();
}
slider.addEventListener("input", () => {
  show();
  history.replaceState(null, "", "#width=" + data.rows[slider.value].width.toFixed(3));
});
addEventListener("hashchange", follow);
follow();
</script>
</body>
</html>
"""
