// Messages about errors and empty results, with what the user can do.

import { key } from "./api.js";
import { literally } from "./chips.js";
import { element, find } from "./dom.js";
import { NONE } from "./filters.js";

const box = find(".notice");
/** Seconds until the next attempt when the service does not respond. */
const AWAY = 5;
let timer = null;

export function hide() {
  clearInterval(timer);
  box.hidden = true;
  box.replaceChildren();
}

function show(title, text, ...rest) {
  clearInterval(timer);
  box.replaceChildren(element("h2", {}, title), element("p", {}, text), ...rest);
  box.hidden = false;
}

const button = (text, click) => element("button", { type: "button", class: "action", click }, text);

/** Show the error of a search; `again` repeats it, `change` changes the query. */
export function problem(error, query, { again, change }) {
  if (error.status === 401) return askForKey(error, again);
  if (error.status === 0) {
    return comeBack(
      "The service does not respond",
      "Check that it is running and that this device is online.",
      AWAY,
      again,
    );
  }
  if (error.status === 429 || error.status === 503 || error.status === 504) {
    const title = error.status === 429 ? "Too many requests" : "The service is busy";
    return comeBack(title, sentence(error.message), error.retryAfter ?? AWAY, again);
  }
  if (query.photo && (error.status === 413 || error.status === 415)) {
    return show(
      error.status === 413 ? "The photo is too large" : "We can’t read this file",
      `${query.photo.name}: use a JPEG, PNG, WebP, GIF, BMP or TIFF file, up to 20 MB.`,
      button("Remove the photo", () => change({ photo: null })),
    );
  }
  if (error.status === 404 && query.like) {
    return show(
      "This photo is no longer in the index",
      "Search with the photo's file or with words instead.",
      button("Remove the photo", () => change({ like: null })),
    );
  }
  if (error.status === 422) {
    const clear = button("New search", () => change({ text: "", photo: null, like: null, ...NONE }));
    const words = button("Search the words as they are", () => change({ text: literally(query.text) }));
    return show("This search is not valid", sentence(error.message), query.text ? words : clear);
  }
  return show("Something went wrong", sentence(error.message), button("Try again", again));
}

/** Show that nothing was found, and why; `parsed` is what was understood of the line. */
export function nothing(query, change, parsed) {
  if (parsed?.where.length) {
    return show(
      "No photos meet these conditions",
      "Photos without a time, camera, place, rating or tag never meet a condition on it.",
      button("Search without conditions", () => change({ ...NONE, text: parsed.text })),
    );
  }
  if (query.conditions().length === 0) return empty();
  show(
    "No photos match these filters",
    "Photos without a time, camera or tag never match a filter on it.",
    button("Remove all filters", () => change(NONE)),
  );
}

/** Show that the index is empty; `name` is that of its folder, if it is known. */
export function empty(name) {
  show(
    "No photos yet",
    `The index${name ? ` of “${name}”` : ""} is empty. Put photos into the folder and index it:`,
    element("pre", {}, "hgan index ~/Pictures"),
  );
}

/** Show that an uploaded photo is lost: the page was reloaded, or opened by a shared link. */
export function lostPhoto() {
  show(
    "The photo of this search is missing",
    "Uploaded photos are not part of a link and are lost when the page is reloaded. " +
      "Drop the photo here again.",
  );
}

function comeBack(title, text, seconds, again) {
  let left = Math.max(1, seconds);
  const now = button("Try now", () => again());
  // Screen readers must not read it every second.
  const clock = element("p", { class: "quiet-text", "aria-live": "off" });
  const tick = () => {
    clock.textContent = `Trying again in ${left} s`;
    if (left <= 0) {
      clearInterval(timer);
      clock.textContent = "Trying again …";
      again();
    }
    left -= 1;
  };
  show(title, text, clock, now);
  tick();
  timer = setInterval(tick, 1000);
}

function askForKey(error, again) {
  const wrong = key.get() !== null;
  key.forget();
  const field = element("input", {
    type: "password",
    required: true,
    autocomplete: "off",
    "aria-label": "Key",
    placeholder: "Key",
  });
  const submit = (event) => {
    event.preventDefault();
    key.set(field.value.trim());
    hide();
    again();
  };
  show(
    wrong ? "This key is not valid" : "This service requires a key",
    "Ask the operator of the service for a key. It is stored until you close this tab.",
    element(
      "form",
      { class: "key", submit },
      field,
      element("button", { class: "action" }, "Use the key"),
    ),
  );
  field.focus();
}

function sentence(text) {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
