// The head of the start page, above all photos: their number, and example searches.

import { searchAll, thumbnailPath } from "./api.js";
import { counted, element, find } from "./dom.js";
import { show as showImage } from "./images.js";
import { Query } from "./query.js";

/** Example searches; those that match the photos best are shown. */
const EXAMPLES = [
  "a dog running through the grass",
  "children playing outside",
  "people smiling at the camera",
  "a cup of coffee on a table",
  "the sea and a beach",
  "a street in a city at night",
  "mountains under a blue sky",
  "someone riding a bicycle",
  "a cat looking at the camera",
  "a boy jumping into the water",
  "a man taking a picture",
  "a red motorcycle",
];
const SHOWN = 6;
const ROW = 3;
/** Minimum score of an example relative to the best one, if the model does not say what matches. */
const FITS = 0.6;

const box = find(".welcome");
const title = element("h1", {}, "Search photos by what they show");
const model = element("p", { class: "quiet-text model" }, "\u00a0");
const cards = element("ul", { class: "examples", "aria-label": "Example searches" });
let filled = false;

export function hide() {
  box.hidden = true;
}

/**
 * Show it. Everything has its place at once, so that the photos below do not move when the status
 * (null until it is known) and the examples come.
 *
 * @param link the address of a search
 * @param choose starts a search
 */
export function show(status, link, choose) {
  if (!box.childElementCount) build();
  box.hidden = status?.photos === 0;
  if (filled || !status?.photos) return;
  filled = true;
  title.textContent = `Search ${counted(status.photos, "photo")} by what they show`;
  model.textContent = modelLine(status.bundle);
  fill(link, choose);
}

function build() {
  const how = "Describe a photo in your own words, or drop, paste or choose one to find similar photos.";
  for (let row = 0; row < SHOWN; row += 1) cards.append(element("li", { class: "card" }));
  box.replaceChildren(title, element("p", {}, how), model, cards);
}

/** The model, and the languages that it understands, if they are known. */
function modelLine({ name, languages }) {
  const names = new Intl.DisplayNames(["en"], { type: "language", fallback: "code" });
  const shown = languages.map((code) => {
    try {
      return names.of(code);
    } catch {
      return code; // not a language code, such as "multilingual"
    }
  });
  return `Model: ${name}${shown.length ? `, for ${shown.join(", ")}` : ""}`;
}

/** Fill the cards, each with the best photo of its example. */
async function fill(link, choose) {
  const queries = EXAMPLES.map((text) => new Query({ text }));
  const answers = await searchAll(queries, { k: 1 }).catch(() => []); // show no examples
  const found = answers
    .map(([hit], row) => ({ query: queries[row], hit }))
    .filter(({ hit }) => hit);
  found.sort((one, other) => other.hit.score - one.hit.score);
  const seen = new Set();
  const fitting = found
    .filter(({ hit }) => (hit.grade ? hit.grade === "strong" : hit.score >= FITS * found[0].hit.score))
    .filter(({ hit }) => !seen.has(hit.id) && seen.add(hit.id))
    .slice(0, SHOWN);
  const best = fitting.slice(0, fitting.length - (fitting.length % ROW) || fitting.length);
  [...cards.children].forEach((card, row) => {
    if (row >= best.length) return card.remove();
    const { query, hit } = best[row];
    const image = element("img", { alt: "", width: 512, height: 384 });
    showImage(image, thumbnailPath(hit.id));
    const click = (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      choose(query);
    };
    card.append(
      element("a", { href: link(query), click }, image, element("span", {}, query.text)),
    );
  });
}
