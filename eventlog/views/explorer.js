function render({model, el}) {
  const make = (name, kind, text, parent) => {
    const made = document.createElement(name);
    if (kind) made.className = kind;
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  };
  const root = make("div", "el", undefined, el);
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "a run to go back in");
  const bar = make("div", "bar", undefined, root);
  const button = (text, label, act, parent) => {
    const made = make("button", "", text, parent);
    made.type = "button";
    made.title = label;
    made.setAttribute("aria-label", label);
    made.addEventListener("click", act);
    return made;
  };
  const go = (index) => {
    const wanted = Math.max(model.get("first"), Math.min(model.get("last"), index));
    if (wanted === model.get("index")) return;
    model.set("index", wanted);
    model.save_changes();
  };
  const next = (by) => {
    const stops = model.get("stops"), now = model.get("index");
    const place = by > 0 ? stops.find((stop) => stop > now) : stops.filter((stop) => stop < now).pop();
    if (place !== undefined) go(place);
  };
  button("|◀", "first step (Home)", () => go(model.get("first")), bar);
  button("◀", "one step back (left arrow)", () => next(-1), bar);
  button("▶", "next step (right arrow or space)", () => next(1), bar);
  button("▶|", "last step (End)", () => go(model.get("last")), bar);
  const slider = make("input", "slider", undefined, bar);
  slider.type = "range";
  slider.setAttribute("aria-label", "event of the run");
  slider.addEventListener("input", () => go(+slider.value));
  const where = make("output", "where", "", bar);
  const picture = make("div", "picture", undefined, root);
  picture.tabIndex = 0;
  const why = make("div", "why", "", root);
  why.setAttribute("aria-live", "polite");
  const forks = make("div", "forks", undefined, root);
  const verdict = make("p", "verdict", "", root);
  const error = make("p", "error", "", root);
  error.setAttribute("role", "alert");
  const repeated = make("div", "", "", root);
  const literal = make("pre", "literal", "", root);

  const ask = (what) => model.send(what);
  const moved = () => {
    slider.min = model.get("first");
    slider.max = model.get("last");
    slider.value = model.get("index");
    where.textContent = `event ${model.get("index")} of ${model.get("last")}`;
  };
  const drawn = () => {
    picture.innerHTML = model.get("picture");
    const steps = picture.querySelectorAll("[data-step]");
    for (const step of steps) {
      const box = step.getBBox(), all = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      for (const [key, value] of Object.entries({x: box.x, y: box.y, width: box.width, height: box.height, fill: "transparent"})) {
        all.setAttribute(key, value);
      }
      step.append(all); // a click beside the letters counts, too
      step.addEventListener("click", () => explain(+step.dataset.step));
    }
    why.textContent = model.get("now");
    const lit = steps[steps.length - 1];
    if (lit) {
      // The step of now is in sight, and as much of what is under it as there is room for.
      picture.scrollTop = 0;
      const {top, bottom} = lit.getBoundingClientRect(), from = picture.getBoundingClientRect().top;
      picture.scrollTop = Math.max(0, Math.min(bottom - from - picture.clientHeight / 2, top - from - 30));
    }
  };
  const explain = (step) => { why.textContent = model.get("reasons")[step - 1] || ""; };
  const offered = () => {
    forks.textContent = "";
    make("b", "", "Fork the past: go back to this event, and let something else happen", forks);
    if (!model.get("offers").length) make("span", "", "Nothing more can go wrong from here on: go to an earlier event.", forks);
    model.get("offers").forEach(([label, said], index) => {
      button(label, said, () => ask({do: "fork", index}), forks).dataset.fork = index;
    });
    const heal = button("heal all", "undo every fault that lasts", () => ask({do: "heal"}), forks);
    heal.className = "heal";
    heal.disabled = !model.get("can_heal");
    const back = button("undo the fork", "the run before the last fork", () => ask({do: "back"}), forks);
    back.className = "back";
    back.disabled = !model.get("depth");
  };
  const told = () => {
    repeated.textContent = `This run as a literal (${model.get("repeated_by")}):`;
    literal.textContent = model.get("literal");
    verdict.textContent = model.get("verdict");
    verdict.className = `verdict ${model.get("is_broken") ? "bad" : "good"}`;
    error.textContent = model.get("error");
  };
  root.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target.tagName === "BUTTON" && (event.key === " " || event.key === "Enter")) return;
    if (event.key === "ArrowRight" || event.key === "ArrowDown") next(1);
    else if (event.key === "ArrowLeft" || event.key === "ArrowUp") next(-1);
    else if (event.key === " ") next(event.shiftKey ? -1 : 1);
    else if (event.key === "Home") go(model.get("first"));
    else if (event.key === "End") go(model.get("last"));
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  const on = (names, act) => { for (const name of names) model.on(`change:${name}`, act); act(); };
  on(["first", "last", "index"], moved);
  on(["picture", "now", "reasons"], drawn);
  on(["offers", "can_heal", "depth"], offered);
  on(["literal", "repeated_by", "verdict", "is_broken", "error"], told);
}
export default {render};
