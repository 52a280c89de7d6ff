// The address: it says what is searched for and which photo is open, so that it can be shared, and
// so that back and forward work.

import { Query } from "./query.js";

/** What the address asks for. */
export function read() {
  const parameters = new URLSearchParams(location.search);
  const query = Query.of(parameters);
  // A photo of one's own is in no address, and lasts as long as the page.
  const lost = parameters.has("photo") && !query.photo;
  return { query, open: parameters.get("id"), lost };
}

/** Where a query is, and a photo of its results. */
export function link(query, open = null) {
  const parameters = query.parameters();
  if (open) parameters.set("id", open);
  const text = parameters.toString();
  return text ? `?${text}` : "./";
}

/** Go there; as a new step that `back` undoes, or in place of the one before. */
export function write(query, open, step) {
  const state = { inside: step || (history.state?.inside ?? false) };
  try {
    if (step) history.pushState(state, "", link(query, open));
    else history.replaceState(state, "", link(query, open));
  } catch {
    // Safari allows a hundred of these in half a minute; the next one catches up.
  }
}

/** Whether going back stays on the page. */
export const canGoBack = () => history.state?.inside === true;
