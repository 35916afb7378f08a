(() => {
  "use strict";
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const figures = read("figures");
  const dark = read("dark");
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const plots = [...document.querySelectorAll(".plot")];
  const hidden = {};
  const PRINT_WIDTH = 660;
  let printing = false;

  const isDark = () => !printing && (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);

  // A copy of a figure in which every colour of the light palette is the one of the dark palette.
  const recoloured = (value) => {
    if (typeof value === "string") return dark[value] || value;
    if (Array.isArray(value)) return value.map(recoloured);
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, recoloured(inner)]));
    return value;
  };

  const draw = (div) => {
    const name = div.dataset.figure;
    const source = isDark() ? recoloured(figures[name]) : structuredClone(figures[name]);
    const off = hidden[name] || new Set();
    source.data.forEach((trace, i) => { if (off.has(i)) trace.visible = false; });
    const inner = printing ? Math.min(PRINT_WIDTH, div.closest(".gallery") ? PRINT_WIDTH / 2 - 8 : PRINT_WIDTH) : undefined;
    const layout = { ...source.layout, width: inner, autosize: !printing };
    layout.hoverlabel = { ...layout.hoverlabel, bgcolor: isDark() ? "#262d37" : "#ffffff", bordercolor: isDark() ? "#5d6674" : "#b4bac4",
      font: { ...(layout.hoverlabel || {}).font, color: isDark() ? "#eef1f5" : "#1c222b" } };
    const config = { responsive: true, displaylogo: false, displayModeBar: false, scrollZoom: false, doubleClick: false };
    return Plotly.react(div, source.data, layout, config);
  };

  const drawAll = () => plots.forEach(draw);

  const theme = () => {
    button.setAttribute("aria-pressed", String(isDark()));
    button.textContent = isDark() ? "Light" : "Dark";
    drawAll();
  };

  const toggle = (key) => {
    const name = key.dataset.figure;
    const off = (hidden[name] = hidden[name] || new Set());
    const show = key.getAttribute("aria-pressed") !== "true";
    key.dataset.traces.split(",").filter(Boolean).map(Number).forEach((i) => (show ? off.delete(i) : off.add(i)));
    key.setAttribute("aria-pressed", String(show));
    draw(document.getElementById("plot-" + name));
  };

  document.querySelectorAll(".key").forEach((key) => key.addEventListener("click", () => toggle(key)));
  button.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; theme(); });
  system.addEventListener("change", theme);
  window.addEventListener("beforeprint", () => { printing = true; drawAll(); });
  window.addEventListener("afterprint", () => { printing = false; drawAll(); });

  const explore = () => {
    const box = document.getElementById("explore");
    const source = document.getElementById("explorer");
    if (!box || !source) return;
    const content = JSON.parse(source.textContent);
    const [scene, old, fresh] = ["scene", "old", "new"].map((name) => document.getElementById("explore-" + name));
    const words = (row) => content.shown[row].text || content.shown[row].words;
    const fill = (select, entries) =>
      select.replaceChildren(...entries.map(([value, text]) => Object.assign(document.createElement("option"), { value, textContent: text })));

    const item = ([row, cosine], wanted) => {
      const line = document.createElement("li");
      const shown = content.shown[row];
      if (row === wanted) line.className = "wanted";
      if (shown.image) line.append(Object.assign(document.createElement("img"), { src: shown.image, alt: "" }));
      line.append(Object.assign(document.createElement("span"), { textContent: words(row) }));
      line.append(Object.assign(document.createElement("span"), { className: "cosine", textContent: cosine.toFixed(3) }));
      return line;
    };

    const chosen = () => content.scenes[Number(scene.value)];
    const edit = () => chosen().edits.find(([slot, code]) => slot === Number(old.value) && code === Number(fresh.value));
    const show = () => {
      const found = edit();
      document.getElementById("explore-before").replaceChildren(...chosen().before.map((near) => item(near, chosen().row)));
      document.getElementById("explore-after").replaceChildren(...(found ? found[3].map((near) => item(near, found[2])) : []));
    };
    const offerNew = () => {
      const codes = chosen().edits.filter(([slot]) => slot === Number(old.value)).map(([, code]) => code);
      const kept = Number(fresh.value);
      fill(fresh, codes.map((code) => [code, content.objects[code]]));
      if (codes.includes(kept)) fresh.value = String(kept);
      show();
    };
    const offerOld = () => {
      const slots = [...new Set(chosen().edits.map(([slot]) => slot))];
      fill(old, slots.map((slot) => [slot, `${content.objects[chosen().objects[slot]]} (object ${slot + 1})`]));
      offerNew();
    };
    fill(scene, content.scenes.map((one, i) => [i, words(one.row)]));
    scene.addEventListener("change", offerOld);
    old.addEventListener("change", offerNew);
    fresh.addEventListener("change", show);
    offerOld();
  };

  explore();
  theme();
})();
