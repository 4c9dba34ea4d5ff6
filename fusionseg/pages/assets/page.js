"use strict";
// Tables that sort by a click on a heading and hide rows that lack the words of a filter; charts in the page's colors.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");

  // by the numbers within a text, decimals included: "ratio=0.25" is before "ratio=0.5"
  const parts = text => text.toLowerCase().split(/(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)/);
  const compared = (a, b) => {
    const x = parts(a), y = parts(b);
    for (let i = 0; i < Math.min(x.length, y.length); i++) {
      const order = i % 2 ? x[i] - y[i] : x[i].localeCompare(y[i], "en");
      if (order) return order;
    }
    return x.length - y.length;
  };
  const missing = key => ["", "nan", "None", "\u2013"].includes(key);

  function sort(heading) {
    const table = heading.closest("table"), body = table.tBodies[0];
    const place = [...heading.parentNode.children].indexOf(heading);
    const rising = heading.getAttribute("aria-sort") !== "ascending";
    for (const other of heading.parentNode.children) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const rows = [...body.rows].map(row => [row.cells[place].dataset.key, row]);
    rows.sort(([a], [b]) => missing(a) - missing(b) || (rising ? 1 : -1) * compared(a, b));
    body.append(...rows.map(([, row]) => row));
  }

  function filter(input) {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of document.getElementById(input.dataset.table).tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every(word => text.includes(word));
    }
  }

  function config() {
    const style = getComputedStyle(document.documentElement);
    const [ink, soft, line] = ["--ink", "--soft", "--line"].map(name => style.getPropertyValue(name).trim());
    const font = style.fontFamily;
    return {
      background: "transparent", font, view: { stroke: null },
      axis: { labelColor: ink, titleColor: ink, domainColor: soft, tickColor: soft, gridColor: line, labelFontSize: 12,
              titleFontSize: 12, titleFontWeight: 400, labelLimit: 170 },
      axisY: { titleAngle: -90 },
      legend: { labelColor: ink, titleColor: ink, labelFontSize: 12, titleFontSize: 12, titleFontWeight: 400, labelLimit: 200 },
      header: { labelColor: ink, titleColor: ink, labelFontSize: 12 },
      title: { color: ink, fontSize: 13, fontWeight: 600, anchor: "start" },
      mark: { color: dark.matches ? "#79a9dd" : "#4c78a8" }, rule: { color: ink }, tick: { color: ink }, text: { color: ink, fontSize: 11 },
      range: { category: ["#4c78a8", "#d1731d", "#54a24b", "#b279a2", "#c8473f", "#2f9c95", "#b79a20", "#9d755d", "#e377a2", "#7f7f7f"] },
    };
  }

  async function draw() {
    for (const plot of document.querySelectorAll(".plot")) {
      const spec = JSON.parse(document.getElementById(plot.dataset.spec).textContent);
      await vegaEmbed(plot, spec, {
        ast: true, renderer: "svg", config: config(), tooltip: { theme: dark.matches ? "dark" : "light" },
        actions: { export: true, source: false, compiled: false, editor: false },
      });
    }
    document.documentElement.dataset.drawn = "true";
  }

  for (const button of document.querySelectorAll("thead button")) button.addEventListener("click", () => sort(button.parentNode));
  for (const image of document.querySelectorAll(".picture img"))
    image.addEventListener("click", () => image.closest(".pictures").classList.toggle("large"));
  for (const input of document.querySelectorAll("input[data-table]")) input.addEventListener("input", () => filter(input));
  dark.addEventListener("change", draw);
  draw();
})();
