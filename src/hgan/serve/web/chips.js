// What the service understood in the line: a chip for each condition, which takes it out of the line.

import { element, find, icon } from "./dom.js";

const list = find(".understood");

/** A condition that is being typed at the end of the line, such as `camera:ca`. */
const TYPED = /(^|[\s(])-?(\w+(:|=|[<>]=?)|#)\S*$/;

/** Whether the end of a line looks like a condition that is not complete. */
export const isCondition = (line) => TYPED.test(line);

/** Whether a line has conditions and nothing else, as it was understood. */
export const areAll = (parsed) =>
  Boolean(parsed?.where.length) && !parsed.text.trim() && parsed.without.length === 0;

/** The line without one of its parts; positions are in code points. */
export function without(line, { start, end }) {
  const letters = [...line];
  const before = letters.slice(0, start).join("").replace(/[\s,]+$/, "");
  const after = letters.slice(end).join("").replace(/^[\s,]+/, "");
  return [before, after].filter(Boolean).join(" ");
}

/** The line as words alone: in quotes. */
export const literally = (line) => `"${line.replaceAll('"', "")}"`;

/** Show the parts of a line; `change(line)` is called with the line without a part. */
export function show(line, parts, change) {
  list.replaceChildren(...parts.map((part) => element("li", {}, chip(line, part, change))));
}

export function hide() {
  list.replaceChildren();
}

function chip(line, part, change) {
  const text = part.kind === "unfinished" ? `${part.label} …` : part.label;
  const click = () => {
    change(without(line, part));
    find("#words").focus();
  };
  const name = part.kind === "unfinished" ? "chip unfinished" : "chip";
  const attributes = { type: "button", class: name, "aria-label": `Take off: ${text}`, click };
  return element("button", attributes, element("span", {}, text), icon("close"));
}
