// Why a photo was found: the share of each level in the score, and the regions of each word.

import { element } from "./dom.js";

const LEVELS = {
  context: ["Overall", "The whole photo with the whole sentence"],
  shared: ["Aspects", "One aspect of the photo with the same aspect of the sentence"],
  local: ["Words", "Each word with the part of the photo that matches it best"],
};

/** A bar for the contribution of each level; `parts` has the name and part of each level. */
export function levelBars(parts, score) {
  const whole = parts.reduce((sum, { part }) => sum + Math.abs(part), 0) || 1;
  const rows = parts.map(({ name, part }) => {
    const share = Math.abs(part) / whole;
    const [label, title] = LEVELS[name] ?? [name, name];
    const bar = element("span", { class: `bar ${part < 0 ? "against" : name}` });
    bar.style.width = `${100 * share}%`;
    return element(
      "li",
      { title },
      element("span", { class: "level" }, label),
      element("span", { class: "track", "aria-hidden": "true" }, bar),
      element("span", { class: "share-of" }, `${part < 0 ? "−" : ""}${Math.round(100 * share)} %`),
    );
  });
  return element(
    "div",
    { class: "levels" },
    element("h3", {}, "Match ", element("span", { class: "score" }, score.toFixed(3))),
    element("ul", { "aria-label": "Shares of the score" }, ...rows),
  );
}

/** The similarity of each aspect of the photo with the same aspect of the sentence. */
export function slotBars(slots) {
  const rows = slots.map((cosine, row) => {
    const dot = element("span", { class: "slot", "aria-hidden": "true" });
    dot.style.setProperty("--agreement", Math.max(0, Math.min(1, cosine)));
    const name = element("span", { class: "unseen" }, `Aspect ${row + 1}: `);
    return element("li", {}, dot, name, cosine.toFixed(2));
  });
  return element(
    "div",
    { class: "slots" },
    element("h3", {}, "Similarity of the aspects"),
    element("ul", {}, ...rows),
  );
}

/**
 * The sentence with a button for each word that has a clear place in the photo, which shows its heat
 * map on hover and focus. When the button is pressed, the heat map stays. With the patches of a dual
 * encoder, the whole sentence is one button.
 *
 * @param explained the service's explanation
 * @param light called with a word and its heat in 0..1 by region, or with null
 */
export function sentence(explained, light) {
  // The service counts Unicode code points, JavaScript counts UTF-16 units.
  const letters = Array.from(explained.text);
  const { patches, text } = explained;
  const words = patches ? [{ ...patches, text, start: 0, end: letters.length }] : explained.words;
  const sure = words.filter((word) => patches || word.sure);
  const hint = patches ? HINT_OF_PATCHES : sure.length ? HINT : NO_PLACE;
  const spread = (word) => Math.max(...word.similarity) - Math.min(...word.similarity);
  const warmest = Math.max(...sure.map(spread), 1e-9);
  const status = element("p", { class: "match", role: "status" }, hint);
  const line = element("p", { class: "sentence" });
  let held = null; // the pressed button and its word

  const on = (button, word) => {
    const least = Math.min(...word.similarity);
    light(
      word,
      word.similarity.map((value) => (value - least) / warmest),
    );
    for (const other of line.querySelectorAll("button")) {
      other.classList.toggle("lit", other === button);
    }
    const place = placeOf(explained.boxes[word.region]);
    const name = patches ? "The sentence" : `“${word.text}”`;
    status.textContent = `${name} matches best ${place}: ${Math.max(...word.similarity).toFixed(2)}`;
  };
  const off = () => {
    if (held) return on(...held);
    light(null);
    for (const other of line.querySelectorAll("button")) other.classList.remove("lit");
    status.textContent = hint;
  };

  let end = 0;
  for (const word of words) {
    line.append(letters.slice(end, word.start).join(""));
    end = word.end;
    if (!sure.includes(word)) {
      line.append(word.text);
      continue;
    }
    const button = element("button", { type: "button", "aria-pressed": "false" }, word.text);
    button.style.setProperty("--warmth", (spread(word) / warmest).toFixed(3));
    for (const event of ["pointerenter", "focus"]) {
      button.addEventListener(event, () => on(button, word));
    }
    for (const event of ["pointerleave", "blur"]) button.addEventListener(event, off);
    button.addEventListener("click", () => {
      const again = held?.[0] === button;
      held?.[0].setAttribute("aria-pressed", "false");
      held = again ? null : [button, word];
      button.setAttribute("aria-pressed", String(!again));
      if (!again) on(button, word);
    });
    line.append(button);
  }
  if (end < letters.length) {
    line.append(element("span", { class: "unread" }, letters.slice(end).join("")));
  }
  return element("div", { class: "words" }, line, status);
}

/** What a dual encoder says about the pair: a probability, and what its heat map is. */
export function remarks(explained) {
  const lines = [];
  if (explained.probability !== null) {
    lines.push(`Probability of a match: ${(100 * explained.probability).toFixed(1)} %`);
  }
  if (explained.patches) {
    lines.push(`Where it matches: from the ${explained.patches.source}.`);
  } else if (Object.keys(explained.levels).join() === "context") {
    lines.push("This model compares the whole photo with the whole sentence, not word by word.");
  }
  return lines.map((line) => element("p", { class: "quiet-text" }, line));
}

const HINT = "Point at a word to see which part of the photo matches it.";
const NO_PLACE = "No word has a clear place in this photo.";
const HINT_OF_PATCHES = "Point at the sentence to see which part of the photo matches it.";

/** The position of a box, in words. */
function placeOf([left, top, right, bottom]) {
  const third = (middle) => Math.min(2, Math.floor(3 * middle));
  const down = ["at the top", "", "at the bottom"][third((top + bottom) / 2)];
  const across = ["left", "", "right"][third((left + right) / 2)];
  if (!down && !across) return "in the middle";
  if (!down) return `on the ${across}`;
  return across ? `${down} ${across}` : down;
}
