// Browsing without words: the pages of the timeline, and its months.

import { timeline } from "./api.js";

/** Format of the headings. */
const MONTH = new Intl.DateTimeFormat("en", { month: "long", year: "numeric" });
const UNDATED = "Without a date";

/** The next photos of a query without words, like the result of a search, with the next `cursor`. */
export async function browse(query, { k, cursor }, signal) {
  const { items, cursor: next } = await timeline(query.conditions(), { k, cursor, fold: query.fold }, signal);
  return { hits: items, notices: [], suggestion: null, cursor: next };
}

/** The heading of a photo: its month. Its time is that of the camera, without a time zone. */
export function monthOf({ taken }) {
  return taken ? MONTH.format(new Date(taken)) : UNDATED;
}
