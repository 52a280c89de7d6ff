// Photos into <img>: by their address, or, where a key is needed, by a request that sends it.

import { address, bytes, key } from "./api.js";

/** Seconds until an image that failed is tried again: the service may have been busy. */
const PATIENCE = [1, 3, 9];
/** Images that are kept with a key; the browser keeps the others. */
const MOST = 400;
const objects = new Map();

/** Show what is at a path of the service; not before it is near the window, if it may be `lazy`. */
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

/** The address of what is at a path, for a link or an image. */
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
  if (image.dataset.path !== path) return; // it shows another one by now
  if (tried === PATIENCE.length) return lost(image);
  setTimeout(() => {
    if (image.dataset.path === path) way(image, path, tried + 1);
  }, 1000 * PATIENCE[tried]);
}

function lost(image) {
  image.removeAttribute("src");
  image.classList.add("lost");
}
