'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const find = (id) => document.getElementById(id);
  const root = document.documentElement;
  const charts = {};

  // Colours of the theme, as a layout of plotly.
  function colours() {
    const style = getComputedStyle(root);
    const of = (name) => style.getPropertyValue(name).trim();
    const axis = { gridcolor: of('--line'), linecolor: of('--line'), tickcolor: of('--line') };
    const label = { bgcolor: of('--card'), bordercolor: of('--line'), font: { color: of('--ink') }, align: 'left' };
    return { font: { color: of('--ink'), family: getComputedStyle(document.body).fontFamily }, axis, label, mark: of('--mark') };
  }

  function themed(layout) {
    const { font, axis, label } = colours();
    const clear = 'rgba(0,0,0,0)';
    return {
      ...layout,
      paper_bgcolor: clear,
      plot_bgcolor: clear,
      font: { ...font, size: innerWidth < 600 ? 11 : 12 },
      hoverlabel: label,
      xaxis: { ...layout.xaxis, ...axis },
      yaxis: { ...layout.yaxis, ...axis },
    };
  }

  function draw() {
    for (const [name, element] of Object.entries(charts)) {
      const { data: traces, layout } = data.charts[name];
      Plotly.react(element, traces, themed(layout), {
        responsive: true,
        displaylogo: false,
        displayModeBar: false,
      });
    }
  }

  // The rule of tools/pick_subnet.py: the most accurate one within the budget, and the smallest of
  // equally accurate ones; without accuracies the largest one.
  function pick(kind, limit) {
    const better = (a, b) =>
      data.measured
        ? a.accuracy > b.accuracy || (a.accuracy === b.accuracy && a.params < b.params)
        : a.params > b.params;
    return data.networks
      .filter((one) => one[kind] <= limit && (!data.measured || one.accuracy !== null))
      .reduce((best, one) => (best === null || better(one, best) ? one : best), null);
  }

  function choose() {
    const kind = find('kind').value;
    const stops = data.stops[kind];
    const stop = stops[Math.min(find('budget').valueAsNumber, stops.length - 1)];
    const chosen = pick(kind, stop.limit);
    find('limit').textContent = '≤ ' + stop.text;
    find('chosen').textContent = chosen.subnet + (chosen.name ? ` (${chosen.name})` : '');
    find('costs').textContent = chosen.summary;
    find('command').textContent = chosen.command;
    for (const row of document.querySelectorAll('tr[data-subnet]')) {
      row.classList.toggle('chosen-row', row.dataset.subnet === chosen.subnet);
    }
    if (data.measured) mark(chosen);
  }

  function mark(chosen) {
    const { mark: colour } = colours();
    const ring = data.charts.frontier.data.length - 1;
    const moved = { x: [[chosen.params]], y: [[chosen.accuracy]], 'marker.color': colour };
    Plotly.restyle(charts.frontier, moved, [ring]);
    const { x, y, customdata } = data.charts.grid.data[0];
    const line = customdata.findIndex((subnets) => subnets.includes(chosen.subnet));
    const column = customdata[line].indexOf(chosen.subnet);
    const frame = {
      type: 'rect', x0: column - 0.5, x1: column + 0.5, y0: line - 0.5, y1: line + 0.5,
      line: { color: colour, width: 3 },
    };
    Plotly.relayout(charts.grid, { shapes: [frame] });
  }

  function setRange() {
    const stops = data.stops[find('kind').value];
    find('budget').max = stops.length - 1;
    find('budget').value = stops.length - 1;
    choose();
  }

  // A tap on a point or a cell sets the budget to what it costs.
  function follow(event) {
    const subnet = event.points[0].customdata;
    const network = data.networks.find((one) => one.subnet === subnet);
    if (!network) return;
    const kind = find('kind').value;
    find('budget').value = data.stops[kind].findIndex((stop) => stop.limit >= network[kind]);
    choose();
  }

  function switchTheme() {
    const dark = root.dataset.theme
      ? root.dataset.theme === 'dark'
      : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
    draw();
    choose();
  }

  for (const element of document.querySelectorAll('[data-chart]')) charts[element.dataset.chart] = element;
  draw();
  for (const name of ['frontier', 'grid']) charts[name]?.on('plotly_click', follow);
  find('kind').addEventListener('change', setRange);
  find('budget').addEventListener('input', choose);
  find('theme').addEventListener('click', switchTheme);
  find('copy').addEventListener('click', () => navigator.clipboard.writeText(find('command').textContent));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { draw(); choose(); });
  setRange();
})();
