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
  const over = ([r, g, b, a], [x, y, z]) => [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a), 1];
  function behind(element) {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const color = rgba(getComputedStyle(e).backgroundColor);
      layers.push(color);
      if (color[3] === 1) break;
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
  }
  function luminance([r, g, b]) {
    const linear = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  }
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !shown(element) || element.closest(":disabled, option")) continue;
    const style = getComputedStyle(element), ground = behind(element);
    const [light, dark] = [luminance(over(rgba(style.color), ground)), luminance(ground)].sort((a, b) => b - a);
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
  for (const reference of document.querySelectorAll("[aria-labelledby], [aria-describedby]")) {
    for (const id of (reference.getAttribute("aria-labelledby") || reference.getAttribute("aria-describedby")).split(" ")) {
      if (!document.getElementById(id)) problems.push(`it refers to ${id}, which is not there: ${where(reference)}`);
    }
  }
  return problems;
})()
