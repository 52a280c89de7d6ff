// The address of the page: it holds the query and the open photo, so that links can be shared and
// back and forward work.

import { Query } from "./query.js";

/** Read the address. */
export function read() {
  const parameters = new URLSearchParams(location.search);
  const query = Query.of(parameters);
  // An uploaded photo is not part of the address and is lost when the page is reloaded.
  const lost = parameters.has("photo") && !query.photo;
  return { query, open: parameters.get("id"), lost };
}

/** The address of a query, and of an open photo in its results. */
export function link(query, open = null) {
  const parameters = query.parameters();
  if (open) parameters.set("id", open);
  const text = parameters.toString();
  return text ? `?${text}` : "./";
}

/** Change the address: as a new step of the history, or in place of the current one. */
export function write(query, open, step) {
  const state = { inside: step || (history.state?.inside ?? false) };
  try {
    if (step) history.pushState(state, "", link(query, open));
    else history.replaceState(state, "", link(query, open));
  } catch {
    // Safari allows a hundred changes in 30 seconds; the next change includes this one.
  }
}

/** Whether `back` stays on this page. */
export const canGoBack = () => history.state?.inside === true;
