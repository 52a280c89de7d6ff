// Filters: the form, and a chip for each active filter.

import { element, find, folderOf, icon } from "./dom.js";

const form = find("#filters");
const fields = form.elements;
const button = find("button.refine");
const chips = find(".chips");

const listed = (text) => text.split(",").map((one) => one.trim()).filter(Boolean);
const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** The values of the form. */
function written() {
  return {
    without: listed(fields.without.value),
    folder: fields.folder.value.trim().replace(/^\/+|\/+$/g, ""),
    from: fields.from.value,
    until: fields.until.value,
    camera: fields.camera.value.trim(),
    tags: listed(fields.tags.value),
    fold: fields.fold.checked,
  };
}

export const NONE = {
  without: [],
  folder: "",
  from: "",
  until: "",
  camera: "",
  tags: [],
  fold: true,
};

/** Call `change` with the new values, and whether the user is typing. */
export function listen(change) {
  const open = (shown) => {
    form.hidden = !shown;
    button.setAttribute("aria-expanded", String(shown));
  };
  button.addEventListener("click", () => {
    open(form.hidden);
    if (!form.hidden) fields.without.focus();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    open(false);
    button.focus();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => change(written(), event.target.type !== "checkbox"));
  form.addEventListener("change", () => change(written(), false));
  find(".reset", form).addEventListener("click", () => change(NONE, false));
  chips.addEventListener("click", (event) => {
    const chip = event.target.closest("button");
    if (!chip) return;
    change(JSON.parse(chip.dataset.without), false);
    (chips.querySelector("button") ?? find("#words")).focus();
  });
}

/** Show the filters of a query. */
export function show(query) {
  const current = written();
  // Text that the user is typing stays as it is, with its commas and spaces.
  for (const name of ["without", "tags"]) {
    if (!same(current[name], query[name])) fields[name].value = query[name].join(", ");
  }
  for (const name of ["folder", "from", "until", "camera"]) {
    if (current[name] !== query[name]) fields[name].value = query[name];
  }
  fields.fold.checked = query.fold;
  find(".dot", button).hidden = query.filters === 0;
  chips.replaceChildren(...set(query).map(([text, rest]) => chip(text, rest)));
}

/** The text of each active filter, and the change that removes it. */
function set(query) {
  const less = (name, one) => ({ [name]: query[name].filter((other) => other !== one) });
  const found = query.without.map((one) => [`without ${one}`, less("without", one)]);
  if (query.folder) found.push([`in ${query.folder}`, { folder: "" }]);
  if (query.from) found.push([`from ${query.from}`, { from: "" }]);
  if (query.until) found.push([`until ${query.until}`, { until: "" }]);
  if (query.camera) found.push([query.camera, { camera: "" }]);
  for (const tag of query.tags) found.push([`# ${tag}`, less("tags", tag)]);
  if (!query.fold) found.push(["copies shown", { fold: true }]);
  return found;
}

function chip(text, rest) {
  const attributes = {
    type: "button",
    class: "chip",
    "aria-label": `Remove the filter: ${text}`,
    "data-without": JSON.stringify(rest),
  };
  return element("li", {}, element("button", attributes, text, icon("close")));
}

/** Suggest the folders of the photos that were found. */
export function suggestFolders(hits) {
  const list = find("#folders");
  const known = new Set([...list.children].map((option) => option.value));
  for (const hit of hits) {
    const parts = folderOf(hit.path).split("/").filter(Boolean);
    parts.forEach((_, end) => {
      const folder = parts.slice(0, end + 1).join("/");
      if (!known.has(folder)) list.append(element("option", { value: folder }));
      known.add(folder);
    });
  }
}
