// Service worker: the page opens without a network, as an installed app must. It keeps the files of
// the page only, never photos or results, which belong to the service.

const SHELL = "shell";
const START = new URL("../", self.location).href;
const FILES = new URL("./", self.location).href;
const FILE = new RegExp("web/[\\w.-]+", "g"); // as the start page names it

/** Whether this is a file of the page. */
const isShell = (url) => url.split("?")[0] === START || url.startsWith(FILES);

self.addEventListener("install", (event) => event.waitUntil(fill()));
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !isShell(request.url)) return;
  event.respondWith(fresh(request));
});

/** Keep the start page and all files that it names. */
async function fill() {
  const cache = await caches.open(SHELL);
  const page = await fetch(START);
  const names = new Set((await page.clone().text()).match(FILE));
  await cache.put(START, page);
  await cache.addAll([...names].map((name) => new URL(`../${name}`, self.location).href));
}

/** The file from the service, so that an upgrade takes effect at once; the kept one without it. */
async function fresh(request) {
  const cache = await caches.open(SHELL);
  const key = request.url.startsWith(FILES) ? request.url : START;
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(key, response.clone());
    return response;
  } catch (problem) {
    const kept = await cache.match(key);
    if (!kept) throw problem;
    return kept;
  }
}
