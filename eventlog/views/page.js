"use strict";
(() => {
  const runs = JSON.parse(document.getElementById("runs").textContent);
  const page = document.getElementById("page");
  const HEIGHT = 46, LEFT = 96, AROUND = 6, SVG = "http://www.w3.org/2000/svg";
  const make = (name, kind, text, parent) => {
    const made = document.createElement(name);
    if (kind) made.className = kind;
    if (text !== undefined) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  };
  const draw = (name, values, parent, text) => {
    const made = document.createElementNS(SVG, name);
    for (const key in values) made.setAttribute(key, values[key]);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  };

  const bar = make("div", "bar", undefined, page);
  const pick = runs.length > 1 ? make("select", "", undefined, bar) : null;
  const button = (text, label, act) => {
    const made = make("button", "", text, bar);
    made.type = "button";
    made.setAttribute("aria-label", label);
    made.title = label;
    made.addEventListener("click", act);
    return made;
  };
  button("|◀", "first step (Home)", () => go(0));
  button("◀", "one step back (left arrow)", () => go(now - 1));
  const play = button("play", "play or stop (P)", () => toggle());
  button("▶", "next step (right arrow or space)", () => go(now + 1));
  button("▶|", "last step (End)", () => go(run.rows.length - 1));
  const slider = make("input", "", undefined, bar);
  slider.type = "range";
  slider.min = 1;
  slider.id = "slider";
  slider.setAttribute("aria-label", "step");
  const where = make("output", "where", "", bar);
  button("◐", "light or dark", () => {
    const root = document.documentElement;
    const dark = root.hasAttribute("data-dark") ||
      (!root.hasAttribute("data-light") && matchMedia("(prefers-color-scheme: dark)").matches);
    root.removeAttribute("data-dark");
    root.removeAttribute("data-light");
    root.setAttribute(dark ? "data-light" : "data-dark", "");
  });

  const both = make("div", "both", undefined, page);
  const ladder = make("div", "ladder", undefined, both);
  const heads = make("div", "heads", undefined, ladder);
  const rows = make("div", "rows", undefined, ladder);
  rows.tabIndex = 0;
  rows.setAttribute("role", "listbox");
  rows.setAttribute("aria-label", "steps of the run");
  const room = make("div", "", undefined, rows);
  const aside = make("aside", "", undefined, both);
  const why = make("section", "why", undefined, aside);
  why.setAttribute("aria-live", "polite");
  const logs = make("section", "logs", undefined, aside);
  make("p", "hint", "Keys: → or space one step on, ← or shift+space back, Page Up and Page Down ten, Home, End; P plays. " +
    "Click a message to see why it was answered so.", page);
  const legend = make("p", "hint", "", page);
  const literal = make("details", "", undefined, page);
  make("summary", "", "Repeat this run", literal);
  const pre = make("pre", "", "", literal);

  let run, now = 0, columns = {}, width = 0, byBroker = [], timer = 0;
  const shown = new Map();

  const columnsOf = () => {
    const room_ = Math.max(ladder.clientWidth - LEFT - 8, 0);
    const each = Math.max(190, Math.min(330, Math.floor(room_ / run.actors.length)));
    columns = {};
    run.actors.forEach((name, index) => { columns[name] = LEFT + each * index + each / 2; });
    width = Math.max(LEFT + each * run.actors.length, ladder.clientWidth - 2);
    heads.textContent = "";
    heads.style.width = rows.style.width = width + "px";
    for (const name of run.actors) make("span", "", name, heads).style.left = columns[name] + "px";
  };

  const head = (group, x, y, right) =>
    draw("path", {class: "head", d: right ? `M${x} ${y}l-9 -5v10z` : `M${x} ${y}l9 -5v10z`}, group);

  const fit = (text, space) => {
    const most = Math.max(8, Math.floor(space / 6.9));
    return text.length <= most ? text : text.slice(0, most - 1) + "…";
  };

  const drawRow = (index) => {
    const [kind, at, source, targets, label, style, tone, , told, fault, , spoken] = run.rows[index];
    const row = make("div", "row");
    row.id = "step-" + index;
    row.dataset.step = index;
    row.setAttribute("role", "option");
    row.setAttribute("aria-label", `step ${index + 1}: ${spoken}`);
    row.style.top = index * HEIGHT + "px";
    const svg = draw("svg", {width, height: HEIGHT, "aria-hidden": "true"}, row);
    for (const name of run.actors) draw("line", {class: "rail", x1: columns[name], x2: columns[name], y1: 0, y2: HEIGHT}, svg);
    draw("text", {class: "time", x: LEFT - 14, y: 28, "text-anchor": "end"}, svg, "+" + at.toLocaleString("en") + " ms");
    const kinds = {"lost": "lost", "late": "late", "sent again": "again"};
    const group = draw("g", {class: `${kinds[style] || ""} ${tone}`}, svg);
    const from = columns[source];
    const ends = targets.map((name) => columns[name]).filter((x) => x !== undefined);
    if (kind === "arrow" && from !== undefined && ends.length) {
      const y = 30;
      for (const to of ends) {
        const right = to > from, tip = to + (right ? -3 : 3), stop = style === "lost" ? from + (to - from) * 0.82 : tip;
        if (style === "sent again") {
          draw("path", {class: "arrow", d: `M${from} ${y - 2}H${tip + (right ? -7 : 7)}M${from} ${y + 2}H${tip + (right ? -7 : 7)}`}, group);
        } else draw("path", {class: "arrow", d: `M${from} ${y}H${stop}`}, group);
        if (style === "lost") draw("path", {class: "cross", d: `M${stop - 6} ${y - 6}l12 12m0 -12l-12 12`}, group);
        else head(group, tip, y, right);
      }
      const far = ends.reduce((one, other) => (Math.abs(other - from) > Math.abs(one - from) ? other : one));
      const text = (fault ? `⚡ ${fault.replaceAll("_", " ")}: ` : "") + label;
      const middle = Math.min(Math.max((from + far) / 2, LEFT + text.length * 3.3), width - 8 - Math.min(text.length * 3.3, width / 2 - 8));
      draw("text", {x: middle, y: 19, "text-anchor": "middle"}, group, fit(text, width - LEFT));
    } else if (kind === "note") {
      const x = ends[0] === undefined ? LEFT : ends[0];
      draw("circle", {class: "dot", cx: x, cy: 24, r: 5}, group);
      const free = width - x - 16, left = free < label.length * 6.9 && x > width / 2;
      draw("text", {x: left ? x - 11 : x + 11, y: 28, "text-anchor": left ? "end" : "start"}, group, fit(label, left ? x - LEFT : free));
    } else {
      const mended = tone !== "bad";
      const mark = kind === "fault" && !mended ? "⚡" : "◆";
      if (kind === "fault") for (const x of ends) draw("path", {class: "cross", d: `M${x - 6} 18l12 12m0 -12l-12 12`, opacity: mended ? 0 : 1}, group);
      draw("text", {x: LEFT, y: 28}, group, fit(`${mark} ${label}`, width - LEFT));
    }
    row.addEventListener("click", () => { go(index); rows.focus({preventScroll: true}); });
    return row;
  };

  const dress = (row, index) => {
    row.classList.toggle("now", index === now);
    row.classList.toggle("later", index > now);
    row.setAttribute("aria-selected", index === now ? "true" : "false");
  };

  const paint = () => {
    const first = Math.max(0, Math.floor(rows.scrollTop / HEIGHT) - AROUND);
    const last = Math.min(run.rows.length - 1, Math.ceil((rows.scrollTop + rows.clientHeight) / HEIGHT) + AROUND);
    for (const [index, row] of shown) if (index < first || index > last) { row.remove(); shown.delete(index); }
    for (let index = first; index <= last; index++) {
      let row = shown.get(index);
      if (!row) { row = drawRow(index); shown.set(index, row); room.append(row); }
      dress(row, index);
    }
  };

  const newest = (states, step) => {
    let low = 0, high = states.length;
    while (low < high) { const middle = (low + high) >> 1; if (states[middle][0] <= step) low = middle + 1; else high = middle; }
    return low ? states[low - 1] : null;
  };

  const explain = () => {
    const [, at, , , label, , tone, reason, told, , event] = run.rows[now];
    why.textContent = "";
    make("h2", "", `Step ${now + 1} of ${run.rows.length}`, why);
    make("p", tone, label, why);
    if (reason) make("p", "reason", `Why: ${reason}`, why);
    if (told) make("p", "", `The user hears: ${told}.`, why);
    make("p", "mem", `event ${event} of the run, +${at.toLocaleString("en")} ms`, why);
    logs.textContent = "";
    make("h2", "", "Logs after this step", logs);
    let any = false;
    for (const states of byBroker) {
      const state = newest(states, now);
      if (!state) continue;
      any = true;
      const [place, id, role, watermark, more, cells, memory] = state;
      const log = make("div", "log", undefined, logs);
      const who = make("div", "who", "", log);
      make("b", "", `broker-${id}`, who);
      who.append(` ${{leader: "★ leader", follower: "follower", down: "✖ down"}[role]} · high watermark ${watermark}` + (more ? ` · ${more.toLocaleString("en")} more before` : ""));
      const strip = make("div", "cells", undefined, log);
      let drawn = false;
      for (const [offset, name, value, epoch, flags] of cells) {
        if (!drawn && offset >= watermark) { make("span", "mark", "", strip).title = "high watermark"; drawn = true; }
        if ((flags & 2) && place !== now) continue;
        const cell = make("span", `cell epoch${epoch % 4}${flags & 1 ? " copy" : ""}${flags & 2 ? " cut" : ""}`, value || name, strip);
        make("small", "", `${name} e${epoch}${flags & 1 ? " copy" : ""}${flags & 2 ? " cut off" : ""}`, cell);
        cell.title = `offset ${offset}, leader_epoch ${epoch}`;
      }
      if (!drawn) make("span", "mark", "", strip).title = "high watermark";
      for (const line of memory) make("p", "mem", `remembers ${line}`, log);
    }
    if (!any) make("p", "mem", "Nothing was filmed up to this step.", logs);
  };

  const go = (step) => {
    const before = now;
    now = Math.max(0, Math.min(run.rows.length - 1, step));
    slider.value = now + 1;
    slider.setAttribute("aria-valuetext", `step ${now + 1}: ${run.rows[now][11]}`);
    where.textContent = `step ${(now + 1).toLocaleString("en")} of ${run.rows.length.toLocaleString("en")} · +${run.rows[now][1].toLocaleString("en")} ms`;
    const top = now * HEIGHT;
    if (top < rows.scrollTop || top + HEIGHT > rows.scrollTop + rows.clientHeight) {
      rows.scrollTop = Math.max(0, top - (Math.abs(now - before) > 3 ? rows.clientHeight / 2 : now < before ? 0 : rows.clientHeight - 2 * HEIGHT));
    }
    paint();
    rows.setAttribute("aria-activedescendant", "step-" + now);
    explain();
  };

  const toggle = () => {
    if (timer) { clearInterval(timer); timer = 0; }
    else timer = setInterval(() => { go(now + 1); if (now === run.rows.length - 1) toggle(); }, 900);
    play.textContent = timer ? "stop" : "play";
  };

  const SIGNS = {arrives: "solid: arrives", lost: "dashed with ✗: lost", "sent again": "double: sent again, or the answer to what was", late: "grey: late, from before"};
  const explainSigns = () => {
    const has = (test) => run.states.some((state) => state[5].some(test));
    const arrows = Object.keys(SIGNS).filter((style) => run.rows.some((row) => row[0] === "arrow" && row[5] === style)).map((style) => SIGNS[style]);
    const signs = [
      arrows.length && `Arrows: ${arrows.join(" · ")}.`,
      run.rows.some((row) => row[9]) && "⚡: a fault.",
      run.states.length && "In a log: all replicas in sync have what is before the bar, the high watermark",
      has(([, name]) => name.includes(":")) ? "A1:0: sequence 0 of the writer A in its producer_epoch 1" : has(([, name]) => /\d/.test(name)) && "A1: sequence 1 of the writer A",
      has(() => true) && "e0 and the colour: leader_epoch 0",
      has(([, , , , flags]) => flags & 1) && "double red frame: the same record again",
      has(([, , , , flags]) => flags & 2) && "hatched: cut off",
    ].filter(Boolean);
    const cut = signs.findIndex((sign) => sign.startsWith("In a log"));
    legend.textContent = cut < 0 ? signs.join(" ") : [...signs.slice(0, cut), signs.slice(cut).join(" · ") + "."].join(" ");
  };

  const open = (index) => {
    run = runs[index];
    byBroker = [];
    for (const state of run.states) (byBroker[state[1]] = byBroker[state[1]] || []).push(state);
    byBroker = byBroker.filter(Boolean);
    for (const row of shown.values()) row.remove();
    shown.clear();
    room.style.height = run.rows.length * HEIGHT + "px";
    slider.max = run.rows.length;
    pre.textContent = run.literal || "";
    literal.hidden = !run.literal;
    columnsOf();
    explainSigns();
    go(Math.min(now, run.rows.length - 1));
  };

  if (pick) {
    pick.setAttribute("aria-label", "which run");
    runs.forEach((one, index) => { make("option", "", one.title || `run ${index + 1}`, pick).value = index; });
    pick.addEventListener("change", () => open(+pick.value));
  }
  slider.addEventListener("input", () => go(slider.value - 1));
  rows.addEventListener("scroll", paint, {passive: true});
  addEventListener("resize", () => { for (const row of shown.values()) row.remove(); shown.clear(); columnsOf(); paint(); });
  addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const on = event.target.tagName;
    if (on === "SELECT" || ((on === "BUTTON" || on === "SUMMARY") && (event.key === " " || event.key === "Enter"))) return;
    const jumps = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, PageDown: 10, PageUp: -10, " ": event.shiftKey ? -1 : 1};
    if (event.key in jumps) go(now + jumps[event.key]);
    else if (event.key === "Home") go(0);
    else if (event.key === "End") go(run.rows.length - 1);
    else if (event.key === "p" || event.key === "P") toggle();
    else return;
    event.preventDefault();
  });
  open(0);
  document.documentElement.dataset.ready = Math.round(performance.now());
})();
