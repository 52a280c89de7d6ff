// What the page asks the service, and what goes wrong then.

const KEY = "hgan.key";
// Relative to the page, so that a proxy's prefix stays.
const base = new URL("v1/", new URL("./", document.baseURI));

/** An answer that is none: `status` is that of HTTP, or 0 where there was no answer at all. */
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
export const photoPath = (id) => `items/${encodeURIComponent(id)}/photo`;

export const status = () => json("status");
export const item = (id, signal) => json(`items/${encodeURIComponent(id)}`, { signal });
export const explain = (id, text, signal) => post("explain", { id, text }, signal);

/** Photos of a query, best first; see query.js for what it is asked with. */
export async function search(query, page, signal) {
  if (!query.photo) return (await post("search", { ...query.asked(), ...page }, signal)).hits;
  const form = new FormData();
  form.append("photo", await query.photo.upload());
  for (const [name, value] of Object.entries({ ...query.asked(), ...page })) {
    for (const one of Array.isArray(value) ? value : [value]) form.append(name, one);
  }
  return (await json("search/photo", { method: "POST", body: form, signal })).hits;
}

/** The same for several queries in words, each with hits of its own. */
export async function searchAll(queries, page) {
  const body = { queries: queries.map(({ text }) => ({ text })), ...page };
  return (await post("search/batch", body)).results.map(({ hits }) => hits);
}

/** The bytes of a photo or thumbnail, where a key has to be sent along. */
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
    throw new Problem(answer.status, "The answer makes no sense. Is something in between?");
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
    throw new Problem(0, "The service does not answer.");
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  const wait = Number.parseInt(answer.headers.get("Retry-After"), 10);
  throw new Problem(
    answer.status,
    said.detail || answer.statusText,
    Number.isFinite(wait) ? wait : null,
  );
}
