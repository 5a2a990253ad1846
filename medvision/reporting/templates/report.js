"use strict";
// Slices around a finding: the strip slides behind the frame. Without this the key image stays as it is.
for (const figure of document.querySelectorAll("figure.stack")) {
  const slider = figure.querySelector("input");
  const strip = figure.querySelector(".strip");
  const outlines = figure.querySelectorAll(".slice-outlines path");
  const label = figure.querySelector("output");
  const { middle, side, step, numbers, point } = figure.dataset;
  const named = numbers.split(" ");

  const show = () => {
    const at = Number(slider.value);
    const away = at - Number(middle);
    figure.classList.toggle("away", away !== 0);
    strip.setAttribute("y", String(-at * Number(side)));
    outlines.forEach((path, index) => path.classList.toggle("at", index === at));
    const sign = away < 0 ? "−" : away > 0 ? "+" : "±";
    const distance = `${sign}${Math.abs(away * step).toFixed(1).replace(".", point)} mm`;
    const name = named[at] ? figure.dataset.label.replace("#", named[at]) : "";
    label.textContent = [name, distance].filter(Boolean).join(", ");
    slider.setAttribute("aria-valuetext", label.textContent);
  };

  slider.hidden = false;
  slider.addEventListener("input", show);
  figure.querySelector("svg").addEventListener("click", () => slider.focus());
  figure.addEventListener("wheel", (event) => {
    if (document.activeElement !== slider) return;
    event.preventDefault();
    slider.value = String(Number(slider.value) - Math.sign(event.deltaY));
    show();
  }, { passive: false });
  show();
}
