// A line about the words of a search: what the model does not know, and what may have been meant.

import { element, find } from "./dom.js";

const line = find(".hint");

/** Show the notices; `choose(text)` searches with the corrected text. */
export function show(notices, suggestion, choose) {
  hide();
  if (notices.length === 0) return;
  if (suggestion) {
    const click = () => choose(suggestion);
    line.append("Did you mean ", element("button", { type: "button", class: "link", click }, suggestion), "?");
  } else line.append(`${notices.join(". ")}.`);
  line.hidden = false;
}

export function hide() {
  line.hidden = true;
  line.replaceChildren();
}
