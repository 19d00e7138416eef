// Elements. Texts become text nodes: nothing here reads markup.

const SVG = "http://www.w3.org/2000/svg";

/** What `h` takes besides attributes. */
const SPECIAL = {
  class: (element, value) => element.setAttribute("class", value),
  text: (element, value) => (element.textContent = value),
  data: (element, value) => Object.assign(element.dataset, value),
  on: (element, handlers) => {
    for (const [name, handler] of Object.entries(handlers)) {
      element.addEventListener(name, handler);
    }
  },
};

/** Make an element: `h("button", {type: "button", on: {click}}, "Call")`. */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** Make an element of a drawing. */
export function s(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (Object.hasOwn(SPECIAL, name)) SPECIAL[name](element, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function button(label, onClick, properties = {}) {
  return h("button", { type: "button", ...properties, on: { click: onClick } }, label);
}

/** Change a text only if it is another one: a selection in it survives. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set an attribute, or take it away for null. */
export function setAttribute(element, name, value) {
  if (value === null || value === undefined) {
    element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, String(value));
  }
}

/**
 * Show items as children, and keep the elements of those that were there before, so that
 * focus survives. `create(item)` gives an element with a method `update(item)`.
 */
export class KeyedList {
  #parent;
  #keyOf;
  #create;
  #views = new Map();

  constructor(parent, keyOf, create) {
    this.#parent = parent;
    this.#keyOf = keyOf;
    this.#create = create;
  }

  show(items) {
    const views = new Map();
    let before = this.#parent.firstElementChild;
    for (const item of items) {
      const key = this.#keyOf(item);
      if (views.has(key)) continue;
      const view = this.#views.get(key) ?? this.#create(item);
      views.set(key, view);
      view.update(item);
      if (view.element === before) before = before.nextElementSibling;
      else this.#parent.insertBefore(view.element, before);
    }
    for (const [key, view] of this.#views) if (!views.has(key)) view.element.remove();
    this.#views = views;
  }
}

/** Call `draw` once before the next picture, however often it is asked for. */
export function beforeNextPicture(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}

let lastId = 0;

/** An id that no other element has. */
export function newId(prefix = "id") {
  lastId += 1;
  return `${prefix}-${lastId}`;
}
