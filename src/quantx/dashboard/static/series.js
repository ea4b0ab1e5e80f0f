"use strict";
// The Series page: draws the chart from its address, and turns clicks and keys into the page's own parameters.
const place = document.getElementById("chart");
const bar = document.getElementById("bar");
const shownFields = ["open", "high", "low", "close", "volume"];

function colours() {
  const css = getComputedStyle(document.documentElement);
  const of = (name) => css.getPropertyValue(`--${name}`).trim();
  return Object.fromEntries(["ink", "soft", "line", "back", "blue", "orange", "green", "red", "violet"].map((n) => [n, of(n)]));
}

function themed(c) {
  return {
    layout: { background: { type: "solid", color: c.back }, textColor: c.ink, attributionLogo: false },
    grid: { vertLines: { color: c.line }, horzLines: { color: c.line } },
  };
}

function marks(rows, c) {
  const shapes = {
    split: ["belowBar", "arrowUp", c.violet], dividend: ["belowBar", "circle", c.blue],
    capital_gain: ["belowBar", "circle", c.blue], error: ["aboveBar", "square", c.red],
    warn: ["aboveBar", "square", c.orange], info: ["aboveBar", "square", c.soft],
  };
  return rows.map((row) => {
    const [position, shape, color] = shapes[row.kind] || shapes.info;
    const text = row.kind === "split" ? row.text : "";  // others are many: the line below the chart has their texts
    return { time: row.time, position, shape, color, text };
  });
}

function precision(closes) {
  const middle = [...closes].sort((a, b) => a - b)[Math.floor(closes.length / 2)] || 1;
  const digits = middle < 0.1 ? 6 : middle < 10 ? 4 : 2;
  return { precision: digits, minMove: 10 ** -digits };
}

function draw(facts, begun) {
  const charts = window.LightweightCharts;
  let c = colours();
  const minutes = facts.zone !== "";
  const chart = charts.createChart(place, {
    ...themed(c), autoSize: true, timeScale: { timeVisible: minutes, secondsVisible: false, minBarSpacing: 0.02, borderColor: c.line },
    rightPriceScale: { borderColor: c.line }, handleScroll: { vertTouchDrag: false },
  });
  const at = (i) => facts.time[i];
  const candles = chart.addSeries(charts.CandlestickSeries, {
    upColor: c.green, downColor: c.red, wickUpColor: c.green, wickDownColor: c.red, borderVisible: false,
    priceFormat: { type: "price", ...precision(facts.close) },
  });
  candles.setData(facts.time.map((time, i) => ({
    time, open: facts.open[i], high: facts.high[i], low: facts.low[i], close: facts.close[i],
  })));
  const volume = chart.addSeries(charts.HistogramSeries, {
    priceFormat: { type: "volume" }, priceScaleId: "volume", color: c.soft, lastValueVisible: false, priceLineVisible: false,
  });
  volume.setData(facts.time.map((time, i) => ({ time, value: facts.volume[i] ?? 0 })));
  chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
  candles.priceScale().applyOptions({ scaleMargins: { top: 0.08, bottom: 0.22 } });
  facts.lines.forEach((line, n) => {
    const color = [c.blue, c.violet, c.orange, c.ink][n % 4];
    const series = chart.addSeries(charts.LineSeries, { color, lineWidth: 1, title: line.name, priceLineVisible: false });
    series.setData(line.time.map((time, i) => ({ time, value: line.close[i] })));
  });
  const marker = charts.createSeriesMarkers(candles, marks(facts.markers, c));
  chart.timeScale().fitContent();
  place.dataset.drawn = Math.round(performance.now() - begun);

  const order = new Map(facts.time.map((time, i) => [time, i]));
  const textOf = (i) => minutes ? facts.point[i].replace("T", " ") : at(i);
  const open = (i) => { location.href = `${place.dataset.point}&point=${encodeURIComponent(minutes ? facts.point[i] : at(i))}#point`; };
  const describe = (i) => {
    const own = facts.markers.filter((m) => m.time === at(i)).map((m) => m.text);
    bar.textContent = [textOf(i), ...shownFields.map((f) => `${f} ${facts[f][i] ?? "–"}`), ...own].join(" · ");
  };
  let chosen = facts.time.length;
  chart.subscribeCrosshairMove((event) => {
    const i = event.time === undefined ? undefined : order.get(event.time);
    if (i !== undefined) { chosen = i; describe(i); }
  });
  chart.subscribeClick((event) => {
    const i = event.time === undefined ? undefined : order.get(event.time);
    if (i !== undefined) open(i);
  });
  place.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -21, PageDown: 21, Home: -1e9, End: 1e9 };
    if (event.key === "Enter" && chosen < facts.time.length) open(chosen);
    if (!(event.key in steps)) return;
    event.preventDefault();
    chosen = Math.max(0, Math.min(facts.time.length - 1, chosen + steps[event.key]));
    chart.setCrosshairPosition(facts.close[chosen], at(chosen), candles);
    const range = chart.timeScale().getVisibleLogicalRange();
    const width = range ? range.to - range.from : 0;
    if (range && (chosen < range.from || chosen > range.to)) {
      chart.timeScale().setVisibleLogicalRange({ from: chosen - width / 2, to: chosen + width / 2 });
    }
    describe(chosen);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    c = colours();
    chart.applyOptions(themed(c));
    marker.setMarkers(marks(facts.markers, c));
  });
}

async function show() {
  const begun = performance.now();
  const answer = await fetch(place.dataset.source, { headers: { Accept: "application/json" } });
  const facts = await answer.json();
  if (answer.ok) draw(facts, begun);
  else bar.textContent = facts.error.message;
}

if (place) show().catch(() => { bar.textContent = "The chart can't be read now; the table has the bars."; });

const slider = document.getElementById("known");
if (slider) {
  const dayOf = (value) => new Date(value * 86400000).toISOString().slice(0, 10);
  const isNow = () => slider.value === slider.max;
  slider.addEventListener("input", () => {
    document.getElementById("known-day").textContent = isNow() ? "now" : dayOf(Number(slider.value));
  });
  slider.addEventListener("change", () => {
    const form = document.getElementById("series");
    form.elements.as_of.value = isNow() ? "" : dayOf(Number(slider.value));
    form.requestSubmit();
  });
}
