// A form for a schema: fields as elements, values in and out.
//
// A view is {element, read(), write(value), check(), focus()}: `read` gives undefined for
// what is left out or is not yet a value.

import { makeControl } from "./controls.js";
import { button, h, newId, setAttribute, setText } from "./dom.js";
import { variantFor } from "./fits.js";
import { hintOf } from "./hints.js";
import { compact } from "./json.js";
import { blank, initial, kindName, nameOf } from "./schema.js";

const SIMPLE = new Set(["text", "number", "boolean", "choice", "json"]);
const VALUE = "value";
const MODES = { value: "value", null: "null", absent: "left out" };

/** The view for the arguments of a tool, a field of the kind `object`. */
export function argumentsView(field) {
  const view = bodyOf(field, "arguments");
  view.write(initial({ ...field, required: true }) ?? {});
  return view;
}

function viewOf(field, name = field.label) {
  const view = SIMPLE.has(field.kind) ? simpleView(field, name) : groupView(field, name);
  view.write(initial(field));
  return view;
}

// Whether a field is sent: as a value, as null, or not at all.

function modeSelect(field, name, onChange) {
  const modes = ["value"];
  if (field.nullable) modes.push("null");
  if (!field.required) modes.push("absent");
  const options = modes.map((mode) => h("option", { value: mode }, MODES[mode]));
  const label = `How ${name || "the value"} is sent`;
  const select = h("select", { class: "mode", "aria-label": label }, ...options);
  select.hidden = modes.length === 1;
  select.addEventListener("change", onChange);
  return {
    element: select,
    get: () => select.value,
    set: (mode) => (select.value = modes.includes(mode) ? mode : "value"),
    has: (mode) => modes.includes(mode),
  };
}

function modeOf(value, field) {
  if (value === undefined) return field.required ? "value" : "absent";
  return value === null && field.nullable ? "null" : "value";
}

function simpleView(field, name) {
  const id = newId("field");
  const control = makeControl(field, id);
  const hint = hintOf(field, id);
  const mode = modeSelect(field, name, () => changed());
  const named = labelled(field, name);
  const label = h("label", { for: id, class: "name" }, ...named.parts);
  const element = h("div", { class: "field", data: { kind: field.kind } });
  if (isWide(field)) element.dataset.isWide = "";
  element.append(h("div", { class: "head" }, label, typeOf(field), mode.element));
  element.append(control.element, ...(hint === null ? [] : [hint]));
  setAttribute(control.input, "aria-describedby", hint?.id);

  const changed = () => {
    element.dataset.mode = mode.get();
    check();
  };
  const check = () => control.check(mode.get() === "value");
  control.element.addEventListener("input", (event) => {
    const isCleared = event.target === control.input && control.input.value === "";
    // To send an empty text, "value" is chosen by hand.
    mode.set(isCleared && mode.has("absent") ? "absent" : "value");
    changed();
  });
  return {
    element,
    check,
    rename: (text) => setText(named.text, text),
    focus: () => control.input.focus(),
    read: () => ({ value: control.get(), null: null, absent: undefined })[mode.get()],
    write: (value) => {
      mode.set(modeOf(value, field));
      const isMissing = value === undefined || (value === null && field.nullable);
      control.set(isMissing ? blankOf(field) : value);
      changed();
    },
  };
}

/** Whether a field wants a line for itself. */
function isWide({ kind, format, choices }) {
  if (kind === "choice") return choices.some((each) => compact(each).length > 24);
  return kind === "json" || (kind === "text" && !["date", "time"].includes(format));
}

function blankOf(field) {
  return field.kind === "json" ? undefined : blank(field);
}

function groupView(field, name) {
  const mode = modeSelect(field, name, () => changed());
  const inner = h("fieldset", { class: "inner", "aria-label": name || "value" });
  const id = newId("group");
  const hint = hintOf(field, id);
  const named = labelled(field, name);
  const title = h("span", { class: "name", id }, ...named.parts);
  const head = h("div", { class: "head" }, title, typeOf(field), mode.element);
  const group = { class: "group", role: "group", "aria-labelledby": id };
  const element = h("div", group, head, hint, inner);
  setAttribute(element, "aria-describedby", hint?.id);

  let body = null; // built when it is needed: a schema may be very deep
  const ensure = () => {
    if (body === null) {
      body = bodyOf(field, name);
      inner.append(body.element);
      body.write(initial({ ...field, required: true }) ?? blank(field));
    }
    return body;
  };
  const changed = () => {
    const isUsed = mode.get() === "value";
    if (isUsed) ensure();
    element.dataset.mode = mode.get();
    inner.hidden = inner.disabled = !isUsed;
  };
  return {
    element,
    check: () => mode.get() === "value" && ensure().check(),
    rename: (text) => setText(named.text, text),
    focus: () => (mode.get() === "value" ? ensure().focus() : mode.element.focus()),
    read: () => ({ value: body?.read(), null: null, absent: undefined })[mode.get()],
    write: (value) => {
      mode.set(modeOf(value, field));
      changed();
      if (mode.get() === "value" && value !== undefined) ensure().write(value);
    },
  };
}

/** A field's name, which `rename` can change, and the mark of what is required. */
function labelled(field, name) {
  const text = h("span", {}, name || "value");
  const star = h("span", { class: "star", title: "required", "aria-hidden": "true" }, "*");
  const said = h("span", { class: "visually-hidden" }, " (required)");
  const isMarked = field.required && name && name !== VALUE;
  return { text, parts: isMarked ? [text, star, said] : [text] };
}

function typeOf(field) {
  return h("span", { class: "type" }, kindName(field));
}

// What is inside of a group.

function bodyOf(field, name) {
  return BODIES[field.kind](field, name);
}

const BODIES = { object: objectBody, list: listBody, tuple: tupleBody, union: unionBody };

function objectBody(field, name) {
  const views = field.fields.map(([key, child]) => [key, viewOf(child)]);
  const more = field.extra === null ? null : mapBody(field, name);
  const element = h("div", { class: "fields" }, ...views.map(([, view]) => view.element));
  if (more !== null) element.append(more.element);
  const known = new Set(views.map(([key]) => key));
  return {
    element,
    check: () => [...views.map(([, view]) => view), more].forEach((view) => view?.check()),
    focus: () => (views[0]?.[1] ?? more)?.focus(),
    read: () => {
      const own = views.map(([key, view]) => [key, view.read()]);
      const all = [...own, ...(more?.entries() ?? [])];
      return Object.fromEntries(all.filter(([, value]) => value !== undefined));
    },
    write: (value) => {
      const given = (key) => (Object.hasOwn(value, key) ? value[key] : undefined);
      for (const [key, view] of views) view.write(given(key));
      more?.write(Object.entries(value).filter(([key]) => !known.has(key)));
    },
  };
}

/** Rows that can be added and taken away; `make` gives a view for a value. */
function rows(name, make, addLabel, { most = Infinity, fewest = 0 } = {}) {
  const list = h("ol", { class: "rows" });
  let views = [];
  const add = (value) => {
    const view = make(value);
    const remove = button("✕", () => take(view), { class: "icon remove" });
    view.row = h("li", {}, view.element, remove);
    view.remove = remove;
    views.push(view);
    list.append(view.row);
    changed();
    return view;
  };
  const take = (view) => {
    const index = views.indexOf(view);
    views = views.filter((each) => each !== view);
    view.row.remove();
    changed();
    (views[index] ?? views[index - 1])?.focus();
    if (views.length === 0) adder.focus();
  };
  const changed = () => {
    views.forEach((view, index) => {
      view.rename?.(`${name || "item"} ${index + 1}`);
      setAttribute(view.remove, "aria-label", `Remove ${index + 1} of ${name || "the list"}`);
      view.remove.disabled = views.length <= fewest;
    });
    adder.disabled = views.length >= most;
  };
  const adder = button(addLabel, () => add(undefined).focus(), { class: "add" });
  changed();
  return {
    element: h("div", { class: "rows-box" }, list, adder),
    add,
    all: () => views,
    clear: () => {
      views = [];
      list.replaceChildren();
      changed();
    },
    focus: () => (views[0] ?? adder).focus(),
  };
}

function listBody(field, name) {
  const limits = { most: field.schema.maxItems, fewest: field.schema.minItems };
  const make = (value) => {
    const view = viewOf({ ...field.item, required: true }, VALUE);
    if (value !== undefined) view.write(value);
    return view;
  };
  const list = rows(name, make, "Add item", limits);
  return {
    element: list.element,
    check: () => list.all().forEach((view) => view.check()),
    focus: list.focus,
    read: () =>
      list
        .all()
        .map((view) => view.read())
        .filter((value) => value !== undefined),
    write: (value) => {
      list.clear();
      value.forEach((each) => list.add(each));
    },
  };
}

function tupleBody(field) {
  const views = field.items.map((item) => viewOf({ ...item, required: true }));
  return {
    element: h("div", { class: "fields" }, ...views.map((view) => view.element)),
    check: () => views.forEach((view) => view.check()),
    focus: () => views[0]?.focus(),
    read: () => {
      const values = views.map((view) => view.read());
      return values.includes(undefined) ? undefined : values;
    },
    write: (value) => views.forEach((view, index) => view.write(value[index])),
  };
}

function mapBody(field, name) {
  const make = ([key, value] = ["", undefined]) => entryView(field, key, value, () => check());
  const list = rows(name, make, "Add entry");
  const check = () => {
    const seen = new Set(field.fields.map(([key]) => key));
    for (const view of list.all()) {
      view.checkKey(seen.has(view.key()));
      seen.add(view.key());
      view.check();
    }
  };
  return {
    element: list.element,
    check,
    focus: list.focus,
    entries: () => list.all().map((view) => [view.key(), view.read()]),
    write: (entries) => {
      list.clear();
      entries.forEach((entry) => list.add(entry));
    },
  };
}

function entryView(field, key, value, onKey) {
  const input = h("input", { type: "text", placeholder: "key" });
  input.value = key;
  input.required = true;
  input.addEventListener("input", onKey);
  const view = viewOf({ ...field.extra, required: true, label: "" }, VALUE);
  if (value !== undefined) view.write(value);
  return {
    element: h("div", { class: "entry" }, input, view.element),
    key: () => input.value,
    checkKey: (isTaken) => input.setCustomValidity(isTaken ? "There is such a key." : ""),
    check: view.check,
    rename: (text) => {
      view.rename(text);
      setAttribute(input, "aria-label", `Key of ${text}`);
    },
    read: view.read,
    focus: () => input.focus(),
  };
}

function unionBody(field, name) {
  const id = newId("variant");
  const options = field.variants.map((each, index) => h("option", { value: index }, nameOf(each)));
  const select = h("select", { id, "aria-label": `Kind of ${name || "value"}` }, ...options);
  const place = h("div", { class: "variant" });
  let view = null;
  const choose = (index) => {
    select.selectedIndex = index;
    view = viewOf({ ...field.variants[index], required: true, label: "" }, VALUE);
    place.replaceChildren(view.element);
  };
  select.addEventListener("change", () => choose(select.selectedIndex));
  choose(0);
  return {
    element: h("div", { class: "union-box" }, select, place),
    check: () => view.check(),
    focus: () => select.focus(),
    read: () => view.read(),
    write: (value) => {
      choose(Math.max(0, variantFor(field, value)));
      view.write(value);
    },
  };
}
