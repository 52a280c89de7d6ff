// What went wrong, or that nothing was found: in words, with what can be done.

import { key } from "./api.js";
import { element, find } from "./dom.js";
import { NONE } from "./filters.js";

const box = find(".notice");
/** Seconds until the service is asked again that did not answer. */
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

/** A problem of a search; `again` asks anew, `change` changes the query. */
export function problem(error, query, { again, change }) {
  if (error.status === 401) return askForKey(error, again);
  if (error.status === 0) {
    return comeBack(
      "The service does not answer",
      "Is it still running, and this machine connected?",
      AWAY,
      again,
    );
  }
  if (error.status === 429 || error.status === 503 || error.status === 504) {
    const title = error.status === 429 ? "A little too fast" : "Busy just now";
    return comeBack(title, sentence(error.message), error.retryAfter ?? AWAY, again);
  }
  if (query.photo && (error.status === 413 || error.status === 415)) {
    return show(
      error.status === 413 ? "The photo is too large" : "This is no photo that can be read",
      `${query.photo.name}: use a JPEG, PNG, WebP, GIF, BMP or TIFF file, up to 20 MB.`,
      button("Remove the photo", () => change({ photo: null })),
    );
  }
  if (error.status === 404 && query.like) {
    return show(
      "This photo is not in the index any more",
      "Others like it cannot be found by it. Search with the file itself, or with words.",
      button("Remove the photo", () => change({ like: null })),
    );
  }
  if (error.status === 422) {
    const anew = button("Start anew", () => change({ text: "", photo: null, like: null, ...NONE }));
    return show("This cannot be searched for", sentence(error.message), anew);
  }
  return show("Something went wrong", sentence(error.message), button("Try again", again));
}

/** Nothing fits, and why that may be. */
export function nothing(query, change) {
  if (query.conditions().length === 0) {
    return show("No photos", "The service finds none, so there may be none in the index.");
  }
  show(
    "No photo passes these filters",
    "Photos that say no time, camera or tag never pass a filter on it.",
    button("Remove all filters", () => change(NONE)),
  );
}

/** Nothing is indexed. */
export function empty(name) {
  show(
    "No photos yet",
    `The index of “${name}” is empty. Put photos into the folder and index it:`,
    element("pre", {}, "hgan index ~/Pictures"),
  );
}

/** The photo of an address that was loaded anew, or that somebody else sent. */
export function lostPhoto() {
  show(
    "The photo of this search is gone",
    "A photo of your own is part of no link, and lasts until the page is loaded anew. " +
      "Drop it here again.",
  );
}

function comeBack(title, text, seconds, again) {
  let left = Math.max(1, seconds);
  const now = button("Try now", () => again());
  // Not read out each second.
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
    wrong ? "This key is not valid" : "This service needs a key",
    "Whoever runs it can give you one. It is kept until this tab is closed.",
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
