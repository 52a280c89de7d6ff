// Requests to the service, and their errors.

const KEY = "hgan.key";
// Relative to the page, so that it works behind the prefix of a proxy.
const base = new URL("v1/", new URL("./", document.baseURI));

/** An error: `status` is the HTTP status, or 0 if there was no response. */
export class Problem extends Error {
  constructor(status, detail, retryAfter = null) {
    super(detail);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

export const address = (path) => new URL(path, base).href;
export const thumbnailPath = (id) => `items/${encodeURIComponent(id)}/thumbnail?size=512`;
export const screenPath = (id) => `items/${encodeURIComponent(id)}/thumbnail?size=2048`;
export const photoPath = (id) => `items/${encodeURIComponent(id)}/photo`;
export const videoPath = (id) => `items/${encodeURIComponent(id)}/video`;

export const status = () => json("status");
export const item = (id, signal) => json(`items/${encodeURIComponent(id)}`, { signal });
export const explain = (id, text, signal) => post("explain", { id, text }, signal);

export const suggest = (q, at, limit, signal) => post("suggest", { q, at, limit }, signal);

/**
 * Search for the photos of a query: its `hits`, best first, with `notices`, a `suggestion`, and what
 * was understood of the line, `parsed`.
 */
export async function search(query, page, signal) {
  if (!query.photo) return post("search", { ...query.body(), ...page }, signal);
  const form = new FormData();
  form.append("photo", await query.photo.upload());
  for (const [name, value] of Object.entries({ ...query.body(), ...page })) {
    for (const one of Array.isArray(value) ? value : [value]) form.append(name, one);
  }
  return json("search/photo", { method: "POST", body: form, signal });
}

/** A page of the photos that meet conditions, the newest first: its `items`, and the next `cursor`. */
export function timeline(conditions, { k, cursor, fold }, signal) {
  const asked = new URLSearchParams({ k, fold });
  for (const one of conditions) asked.append("where", one);
  if (cursor) asked.set("cursor", cursor);
  return json(`items?${asked}`, { signal });
}

/** The photos of several text queries, in the order of the queries. */
export async function searchAll(queries, page) {
  const body = { queries: queries.map(({ text }) => ({ text })), ...page };
  return (await post("search/batch", body)).results.map(({ hits }) => hits);
}

/** The files of several photos, as a ZIP archive. */
export async function download(ids) {
  const headers = { "Content-Type": "application/json" };
  const answer = await send("download", { method: "POST", headers, body: JSON.stringify({ ids }) });
  try {
    return await answer.blob();
  } catch {
    throw new Problem(0, "The download was interrupted. Try again.");
  }
}

/** The bytes of a photo, thumbnail or video, for services that require a key. */
export async function bytes(path, signal) {
  return (await send(path, { signal })).blob();
}

function post(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  return json(path, { method: "POST", headers, body: JSON.stringify(body), signal });
}

async function json(path, request) {
  const answer = await send(path, request);
  try {
    return await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(answer.status, "The response is not valid. Check the proxy, if there is one.");
  }
}

async function send(path, { headers = {}, ...request } = {}) {
  const known = key.get();
  let answer;
  try {
    answer = await fetch(address(path), {
      ...request,
      headers: known ? { ...headers, "X-API-Key": known } : headers,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "The service does not respond.");
  }
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  const wait = Number.parseInt(answer.headers.get("Retry-After"), 10);
  throw new Problem(
    answer.status,
    problem.detail || answer.statusText,
    Number.isFinite(wait) ? wait : null,
  );
}
