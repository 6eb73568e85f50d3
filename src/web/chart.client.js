// Draws each figure with `data-chart` from the table that it names: times in the first column, numbers in the second.
// The table says the same in words, and is what is read aloud and shown without scripts.
(() => {
  const HEIGHT = 260;
  /** Width of the numbers beside the chart: up to a billion. */
  const AXIS = 76;

  const two = (number) => String(number).padStart(2, "0");
  /** Times as the pages write them: the date at midnight, the time of day elsewhere. */
  const times = (_chart, splits, _axis, _space, step) =>
    splits.map((seconds) => {
      const at = new Date(seconds * 1000);
      const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
      const minute = `${two(at.getHours())}:${two(at.getMinutes())}`;
      if (step >= 86_400 || (minute === "00:00" && at.getSeconds() === 0)) return day;
      return step >= 60 ? minute : `${minute}:${two(at.getSeconds())}`;
    });
  /** Changes are whole. */
  const steps = Array.from({ length: 12 }, (_, power) => [1, 2, 5].map((digit) => digit * 10 ** power)).flat();

  const read = (part) => {
    const rows = [...part.querySelectorAll("tbody tr")];
    return [
      rows.map((row) => Date.parse(row.querySelector("time").dateTime) / 1000),
      rows.map((row) => Number(row.lastElementChild.dataset.value)),
    ];
  };

  const draw = (figure, part) => {
    const { color, borderTopColor: grid, outlineColor: line } = getComputedStyle(figure);
    const axis = { stroke: color, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
    const fill = line.replace("rgb(", "rgba(").replace(")", ", 0.12)");
    const options = {
      width: figure.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      scales: { y: { range: (_chart, _least, most) => [0, Math.max(1, most * 1.05)] } },
      axes: [
        { ...axis, values: times, space: 90 },
        { ...axis, size: AXIS, incrs: steps },
      ],
      series: [{}, { stroke: line, width: 2, fill, points: { show: false } }],
    };
    return new uPlot(options, read(part), figure);
  };

  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    const part = document.getElementById(figure.dataset.chart);
    let chart = draw(figure, part);
    const again = () => {
      chart.destroy();
      chart = draw(figure, part);
    };
    new MutationObserver(() => chart.setData(read(part))).observe(part, { childList: true });
    new ResizeObserver(() => chart.setSize({ width: figure.clientWidth, height: HEIGHT })).observe(figure);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  }
})();
