// The results: a grid with infinite scrolling and arrow keys.

import { thumbnailPath } from "./api.js";
import { counted, element, find, nameOf } from "./dom.js";
import { show as showImage } from "./images.js";

const STEPS = { ArrowLeft: -1, ArrowRight: 1 };

export class Results {
  /** Callbacks: `open(hit)` opens a photo, `link(hit)` is its address, `more()` loads the next page. */
  constructor({ open, link, more, leave }) {
    this.grid = find("#grid");
    this.link = link;
    this.open = open;
    this.leave = leave;
    this.hits = [];
    this.tiles = new Map();
    this.grid.addEventListener("click", (event) => this.clicked(event));
    this.grid.addEventListener("keydown", (event) => this.key(event));
    this.grid.addEventListener("focusin", (event) => this.reach(event.target.closest("a")));
    this.end = find(".more");
    this.watch = new IntersectionObserver(([end]) => end.isIntersecting && more(), {
      rootMargin: "900px",
    });
  }

  /** Add a page of photos; the first page replaces all others. */
  add(hits, offset) {
    const tiles = offset === 0 ? new Map() : this.tiles;
    const fresh = offset === 0 ? hits : hits.filter((hit) => !tiles.has(hit.id));
    // A photo that is shown already keeps its tile, so that it does not flicker.
    for (const hit of fresh) {
      const tile = this.tiles.get(hit.id) ?? this.tile(hit);
      this.fill(tile, hit);
      tiles.set(hit.id, tile);
    }
    this.tiles = tiles;
    this.hits = offset === 0 ? fresh : [...this.hits, ...fresh];
    const rows = fresh.map((hit) => tiles.get(hit.id));
    if (offset === 0) {
      this.grid.replaceChildren(...rows);
      this.reach(this.links[0]);
    } else this.grid.append(...rows);
    this.watchEnd();
  }

  clear() {
    this.hits = [];
    this.tiles = new Map();
    this.grid.replaceChildren();
    this.watch.disconnect();
  }

  /** Check again whether the end is in view: it may still be after a page was added. */
  watchEnd() {
    this.watch.disconnect();
    this.watch.observe(this.end);
  }

  at(id) {
    return this.hits.findIndex((hit) => hit.id === id);
  }

  get links() {
    return [...this.grid.querySelectorAll("a")];
  }

  /** Move the focus to a photo. */
  focus(id) {
    this.tiles.get(id)?.querySelector("a").focus();
  }

  focusFirst() {
    this.links[0]?.focus();
  }

  tile(hit) {
    const image = element("img", { alt: "", decoding: "async", width: 512, height: 512 });
    showImage(image, thumbnailPath(hit.id), true);
    const name = element("span", { class: "name" });
    const more = element("span", { class: "folded", hidden: true });
    return element("li", {}, element("a", { tabindex: -1, "data-id": hit.id }, image, name, more));
  }

  fill(tile, hit) {
    const [link] = tile.children;
    const folded = hit.duplicates.length;
    link.href = this.link(hit);
    const more = folded ? `, with ${counted(folded, "near-duplicate")}` : "";
    const weak = hit.grade === "weak";
    link.setAttribute("aria-label", `${hit.path}${more}${weak ? ", weak match" : ""}`);
    tile.classList.toggle("weak", weak);
    find(".name", tile).textContent = nameOf(hit.path);
    find(".folded", tile).textContent = `+${folded}`;
    find(".folded", tile).hidden = folded === 0;
  }

  clicked(event) {
    const link = event.target.closest("a");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return; // opens a new tab
    event.preventDefault();
    this.open(this.hits[this.at(link.dataset.id)]);
  }

  /** Make this the only photo that Tab reaches (roving tabindex); arrow keys reach the others. */
  reach(link) {
    if (!link) return;
    this.grid.querySelector('a[tabindex="0"]')?.setAttribute("tabindex", "-1");
    link.setAttribute("tabindex", "0");
  }

  key(event) {
    const links = this.links;
    const at = links.indexOf(event.target.closest("a"));
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const columns = getComputedStyle(this.grid).gridTemplateColumns.split(" ").length;
    const steps = { ...STEPS, ArrowUp: -columns, ArrowDown: columns };
    let to;
    if (event.key in steps) to = at + steps[event.key];
    else if (event.key === "Home") to = 0;
    else if (event.key === "End") to = links.length - 1;
    else if (event.key === "Escape") to = -1;
    else return;
    event.preventDefault();
    if (to < 0 && event.key !== "ArrowLeft") this.leave();
    // Arrow down above an incomplete last row moves to the last photo.
    else links[Math.max(0, Math.min(to, links.length - 1))].focus();
  }
}
