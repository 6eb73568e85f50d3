// Runs in a page: returns what is wrong with it for people who see little, use a keyboard, or have it read aloud.
(() => {
  const problems = [];
  const name = (element) =>
    `${element.tagName.toLowerCase()}${element.id ? `#${element.id}` : ""}.${element.className.baseVal ?? element.className}`;
  const isShown = (element) =>
    element.checkVisibility({ visibilityProperty: true }) && !element.closest(".hidden, [aria-hidden=true]");

  /** Red, green, blue from 0 to 255 and opacity of a computed colour. */
  const channels = (text) => {
    const numbers = text.match(/[\d.]+/g).map(Number);
    if (text.startsWith("color(srgb")) return [...numbers.slice(0, 3).map((part) => part * 255), numbers[3] ?? 1];
    return [...numbers.slice(0, 3), numbers[3] ?? 1];
  };
  const over = (top, ground) => top.slice(0, 3).map((part, index) => part * top[3] + ground[index] * (1 - top[3]));
  const groundOf = (element) => {
    const layers = [];
    for (let at = element; at !== null; at = at.parentElement) {
      const layer = channels(getComputedStyle(at).backgroundColor);
      if (layer[3] > 0) layers.unshift(layer);
      if (layer[3] === 1) break;
    }
    return layers.reduce((ground, layer) => over(layer, ground), [255, 255, 255]);
  };
  const luminance = (colour) => {
    const [red, green, blue] = colour.map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };

  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text !== null; text = texts.nextNode()) {
    const element = text.parentElement;
    if (text.data.trim() === "" || /^(script|style|option)$/i.test(element.tagName) || !isShown(element)) continue;
    const { color, fontSize, fontWeight } = getComputedStyle(element);
    const isLarge =
      Number.parseFloat(fontSize) >= 24 || (Number.parseFloat(fontSize) >= 18.66 && Number(fontWeight) >= 700);
    const ground = groundOf(element);
    const found = contrast(over(channels(color), ground), ground);
    if (found < (isLarge ? 3 : 4.5))
      problems.push(`contrast ${found.toFixed(2)} of ${name(element)}: ${text.data.slice(0, 40)}`);
  }

  for (const field of document.querySelectorAll("[placeholder]")) {
    const ground = groundOf(field);
    const { color, opacity } = getComputedStyle(field, "::placeholder");
    const [red, green, blue, alpha] = channels(color);
    const found = contrast(over([red, green, blue, alpha * Number(opacity)], ground), ground);
    if (found < 4.5) problems.push(`contrast ${found.toFixed(2)} of the placeholder of ${name(field)}`);
  }

  const headings = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")];
  const levels = headings.map(({ tagName }) => Number(tagName[1]));
  if (levels.filter((level) => level === 1).length !== 1) problems.push(`headings of level 1: ${levels}`);
  levels.forEach((level, index) => {
    if (index > 0 && level > levels[index - 1] + 1) problems.push(`a level of headings is left out: ${levels}`);
  });
  if (levels[0] !== 1) problems.push(`the first heading is of level ${levels[0]}`);
  for (const heading of headings) if (heading.textContent.trim() === "") problems.push("a heading without text");

  for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    const label = [...(field.labels ?? [])].map((each) => each.textContent.trim()).join("");
    if (label === "" && !field.ariaLabel) problems.push(`${name(field)} has no label`);
  }
  for (const each of document.querySelectorAll("a[href], button, summary")) {
    const isHidden = each.closest("[aria-hidden=true]") !== null;
    if (isHidden && each.tabIndex >= 0) problems.push(`${name(each)} is hidden and gets the focus`);
    if (!isHidden && each.textContent.trim() === "" && !each.ariaLabel) problems.push(`${name(each)} has no name`);
    if (each.tabIndex > 0) problems.push(`${name(each)} changes the order of the keyboard`);
  }
  for (const table of document.querySelectorAll("table"))
    if (table.querySelector("th[scope]") === null) problems.push("a table without headings");
  for (const svg of document.querySelectorAll("svg"))
    if (svg.closest("[aria-hidden=true]") === null) problems.push("a picture without words");
  for (const each of document.querySelectorAll("[aria-labelledby], [aria-controls]")) {
    const id = each.getAttribute("aria-labelledby") ?? each.getAttribute("aria-controls");
    if (document.getElementById(id) === null) problems.push(`${name(each)} names ${id}, which is not there`);
  }
  const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
  if (new Set(ids).size !== ids.length)
    problems.push(`an id occurs twice: ${ids.filter((id, at) => ids.indexOf(id) !== at)}`);
  if (document.querySelectorAll("main, header, footer, nav[aria-label=Pages]").length !== 4)
    problems.push("landmarks are missing");
  if (document.documentElement.lang !== "en" || document.title.trim() === "") problems.push("no language or title");
  return problems;
})();
