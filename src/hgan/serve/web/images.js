// Load photos into <img> elements: by address, or by a request with the key if one is set.

import { address, bytes, key } from "./api.js";

/** Seconds until the next attempts for an image that failed; the service may have been busy. */
const PATIENCE = [1, 3, 9];
/** Images that are cached here when a key is used; without a key the browser caches them. */
const MOST = 400;
const objects = new Map();

/** Show the image at a path of the service; if `lazy`, only once it is near the window. */
export function show(image, path, lazy = false) {
  image.dataset.path = path;
  image.classList.remove("shown", "lost");
  near.unobserve(image);
  if (!key.get()) {
    image.loading = lazy ? "lazy" : "eager";
    attempt(image, path, 0);
  } else if (lazy) near.observe(image);
  else withKey(image, path);
}

/** The address of a path of the service, for a link or an image. */
export async function located(path) {
  if (!key.get()) return address(path);
  if (!objects.has(path)) {
    const blob = await bytes(path);
    objects.set(path, URL.createObjectURL(blob));
    if (objects.size > MOST) {
      const [oldest, url] = objects.entries().next().value;
      URL.revokeObjectURL(url);
      objects.delete(oldest);
    }
  }
  return objects.get(path);
}

const near = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      withKey(target, target.dataset.path);
    }
  },
  { rootMargin: "600px" },
);

async function withKey(image, path, tried = 0) {
  try {
    const url = await located(path);
    if (image.dataset.path === path) settle(image, url, () => lost(image));
  } catch {
    again(image, path, tried, withKey);
  }
}

function attempt(image, path, tried) {
  settle(image, address(path), () => again(image, path, tried, attempt));
}

function settle(image, url, failed) {
  image.onload = () => image.classList.add("shown");
  image.onerror = failed;
  image.src = url;
}

function again(image, path, tried, way) {
  if (image.dataset.path !== path) return; // the element shows another photo now
  if (tried === PATIENCE.length) return lost(image);
  setTimeout(() => {
    if (image.dataset.path === path) way(image, path, tried + 1);
  }, 1000 * PATIENCE[tried]);
}

function lost(image) {
  image.removeAttribute("src");
  image.classList.add("lost");
}
