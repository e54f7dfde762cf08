// What the page is made of: elements without innerHTML, so that no text is ever read as markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/**
 * Make an element.
 * @param {string} tag
 * @param {Object} [properties] attributes; `onclick` and the like are listeners; null leaves out.
 * @param {...(Node|string|null)} children
 * @returns {HTMLElement}
 */
export function el(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/**
 * Make an element of a drawing.
 * @param {string} tag
 * @param {Object} [properties]
 * @param {...(Node|string|null)} children
 * @returns {SVGElement}
 */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

/**
 * Make a button that says what it does.
 * @param {string} label
 * @param {() => void} act
 * @param {Object} [properties]
 * @returns {HTMLButtonElement}
 */
export function button(label, act, properties = {}) {
  return el("button", { type: "button", onclick: act, ...properties }, label);
}

/**
 * Say something to those who listen to the page, without showing it.
 * @param {string} sentence
 */
export function announce(sentence) {
  const said = document.getElementById("said");
  // The same sentence twice would not be said again.
  said.textContent = said.textContent === sentence ? `${sentence}\u00a0` : sentence;
}

/**
 * Let the arrow keys walk a list of which only one element at a time is reached by Tab.
 * @param {HTMLElement} list
 * @param {string} selector of its elements
 * @param {(item: HTMLElement) => void} [onReach] called with what the focus comes to
 */
export function rove(list, selector, onReach = () => {}) {
  const steps = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };
  list.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    const items = [...list.querySelectorAll(selector)];
    const at = items.indexOf(event.target.closest(selector));
    if (step === undefined || at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const item = items[Math.max(0, Math.min(items.length - 1, at + step))];
    reach(list, selector, item);
    item.focus();
    onReach(item);
  });
  list.addEventListener("focusin", (event) => {
    const item = event.target.closest(selector);
    if (item) reach(list, selector, item);
  });
}

/**
 * Make one element of a list the one that Tab comes to.
 * @param {HTMLElement} list
 * @param {string} selector
 * @param {HTMLElement} chosen
 */
export function reach(list, selector, chosen) {
  for (const item of list.querySelectorAll(selector)) item.tabIndex = item === chosen ? 0 : -1;
}

/**
 * Hand a text to the browser as a file.
 * @param {string} name
 * @param {string} text
 */
export function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
