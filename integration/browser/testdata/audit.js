// What of this page some people could not use, a line each. Contrast is that of
// WCAG 2.2, success criterion 1.4.3 (AA): 4.5 to 1, or 3 to 1 for large text.
(() => {
  const problems = [];
  const shown = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && element.getBoundingClientRect().left > -50;
  const where = (element) => element.tagName.toLowerCase() + (element.id ? "#" + element.id : "") + (element.className && element.className.baseVal === undefined ? "." + element.className : "") +
    " " + JSON.stringify((element.textContent || "").trim().slice(0, 40));

  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  function rgba(color) { // any CSS colour
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  }
  function over(upper, lower) {
    const alpha = upper[3] + lower[3] * (1 - upper[3]);
    const mixed = [0, 1, 2].map((i) => alpha && (upper[i] * upper[3] + lower[i] * lower[3] * (1 - upper[3])) / alpha);
    return [...mixed, alpha];
  }
  // painted is what is seen of a colour in an element, with all that is behind it.
  function painted(element, color) {
    for (let e = element; e; e = e.parentElement) {
      const style = getComputedStyle(e);
      color = over(color, rgba(style.backgroundColor));
      color = [color[0], color[1], color[2], color[3] * Number(style.opacity)];
    }
    return over(color, [255, 255, 255, 1]);
  }
  function luminance([r, g, b]) {
    const linear = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  }
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !shown(element) || element.closest(":disabled, option")) continue;
    const style = getComputedStyle(element);
    const seen = [painted(element, rgba(style.color)), painted(element, [0, 0, 0, 0])];
    const [light, dark] = seen.map(luminance).sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) problems.push(`contrast of ${ratio.toFixed(2)}: ${where(element)}`);
  }

  if (document.documentElement.scrollWidth > innerWidth) {
    problems.push(`the page is ${document.documentElement.scrollWidth} wide on a screen of ${innerWidth}`);
  }
  if (!document.documentElement.lang) problems.push("the page has no language");
  if (!document.title.trim()) problems.push("the page has no title");
  if (document.querySelectorAll("h1").length !== 1) problems.push(`${document.querySelectorAll("h1").length} first headings, want one`);
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) problems.push(`the id ${id} is there more than once`);
  for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    if (!field.labels.length && !field.ariaLabel) problems.push(`no label: ${field.outerHTML.slice(0, 80)}`);
  }
  for (const control of document.querySelectorAll("button, a[href]")) {
    if (!control.textContent.trim() && !control.ariaLabel) problems.push(`no name: ${control.outerHTML.slice(0, 80)}`);
    const box = control.getBoundingClientRect(); // 2.5.8: 24 by 24, but for links in text
    if (control.tagName === "BUTTON" && shown(control) && (box.width < 24 || box.height < 24)) problems.push(`too small to hit: ${where(control)}`);
  }
  for (const cell of document.querySelectorAll("th:not([scope])")) problems.push(`a heading of nothing: ${where(cell)}`);
  for (const image of document.querySelectorAll("svg:not([aria-hidden]):not([aria-label]), img:not([alt])")) problems.push(`a picture without words: ${image.outerHTML.slice(0, 80)}`);
  for (const attribute of ["aria-labelledby", "aria-describedby"]) {
    for (const reference of document.querySelectorAll(`[${attribute}]`)) {
      for (const id of reference.getAttribute(attribute).split(" ")) {
        if (!document.getElementById(id)) problems.push(`${attribute} refers to ${id}, which is not there: ${where(reference)}`);
      }
    }
  }

  // 2.1.1: what scrolls can be scrolled by keyboard.
  const reached = "a[href], button:enabled, input:enabled:not([type=hidden]), select:enabled, textarea:enabled, [tabindex='0']";
  for (const element of document.body.querySelectorAll("*")) {
    const style = getComputedStyle(element), scrolls = (overflow) => overflow === "auto" || overflow === "scroll";
    const hides = (scrolls(style.overflowX) && element.scrollWidth > element.clientWidth) || (scrolls(style.overflowY) && element.scrollHeight > element.clientHeight);
    if (hides && shown(element) && !element.matches(reached) && !element.querySelector(reached)) problems.push(`no keyboard can scroll it: ${where(element)}`);
  }
  const named = (e) => e.ariaLabel || (e.getAttribute("aria-labelledby") || "").split(" ").map((id) => document.getElementById(id)?.textContent.trim()).join(" ");
  const regions = [...document.querySelectorAll("[role=region], section[aria-label], section[aria-labelledby]")].map(named);
  for (const name of new Set(regions.filter((name, at) => !name || regions.indexOf(name) !== at))) problems.push(`more regions than one are called ${JSON.stringify(name)}, or one is not called anything`);
  // 4.1.3: what is not rendered when its text changes is not read out.
  for (const status of document.querySelectorAll("[role=status], [aria-live]:not([aria-live=off])")) {
    if (!status.checkVisibility()) problems.push(`nobody is told of it, as it is not rendered: ${where(status)}`);
  }
  return problems;
})()
