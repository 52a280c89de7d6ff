// The results: rows of photos with infinite scrolling and arrow keys.

import { Album } from "./album.js";
import { thumbnailPath } from "./api.js";
import { clock, counted, day, element, find, isFrame, nameOf, titleOf } from "./dom.js";
import { show as showImage } from "./images.js";
import { Selection } from "./select.js";

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
    this.albums = [];
    this.together = new Map(); // the photo that a copy is put together with, by the copy's id
    this.selection = new Selection({
      photos: () => this.hits,
      tile: (id) => this.tiles.get(id),
    });
    new ResizeObserver(() => this.arrange()).observe(this.grid);
    this.grid.addEventListener("click", (event) => this.clicked(event));
    this.grid.addEventListener("keydown", (event) => this.key(event));
    this.grid.addEventListener("contextmenu", (event) => this.held(event));
    this.grid.addEventListener("focusin", ({ target }) => {
      this.reach(target.closest("li")?.querySelector("a"));
    });
    this.end = find(".more");
    this.watch = new IntersectionObserver(([end]) => end.isIntersecting && more(), {
      rootMargin: "900px",
    });
  }

  /**
   * Add a page of photos; the first page replaces all others.
   *
   * @param headingOf the heading of a photo, which those after it share; null for no headings
   */
  add(hits, offset, headingOf = () => null) {
    const first = offset === 0;
    const tiles = first ? new Map() : this.tiles;
    if (first) this.together = new Map();
    if (first) this.selection.clear();
    const fresh = hits.filter((hit) => !tiles.has(hit.id) && !this.together.has(hit.id));
    for (const hit of fresh) for (const id of hit.duplicate_ids ?? []) this.together.set(id, hit.id);
    // A photo that is shown already keeps its tile, so that it does not flicker.
    for (const hit of fresh) {
      const tile = this.tiles.get(hit.id) ?? this.tile(hit);
      this.fill(tile, hit);
      tiles.set(hit.id, tile);
    }
    this.tiles = tiles;
    this.hits = first ? fresh : [...this.hits, ...fresh];
    if (first) this.albums = [];
    for (const { title, group } of grouped(fresh, headingOf)) {
      if (this.albums.at(-1)?.title !== title) this.albums.push(new Album(title));
      this.albums.at(-1).add(group.map((hit) => tiles.get(hit.id)), group);
    }
    if (first) this.grid.replaceChildren();
    for (const { element } of this.albums) if (!element.isConnected) this.grid.append(element);
    if (first) this.reach(this.links[0]);
    this.nameAll();
    this.arrange();
    this.watchEnd();
  }

  /** Name the tiles for screen readers, by position and date. */
  nameAll() {
    this.hits.forEach((hit, at) => {
      const tile = this.tiles.get(hit.id);
      const name = `Photo ${at + 1} of ${this.hits.length}, ${hit.taken ? day(hit.taken) : nameOf(hit.path)}`;
      const video = isFrame(hit) ? `, video ${titleOf(hit)}` : "";
      const weak = hit.grade === "weak" ? ", weak match" : "";
      find("a", tile).setAttribute("aria-label", name + video + weak);
      find(".choose", tile).setAttribute("aria-label", `Select photo ${at + 1}`);
    });
  }

  clear() {
    this.selection.clear();
    this.hits = [];
    this.tiles = new Map();
    this.albums = [];
    this.together = new Map();
    this.grid.replaceChildren();
    this.watch.disconnect();
  }

  /** Arrange all photos that need it; see `Album.arrange`. */
  arrange(still = false) {
    const style = getComputedStyle(this.grid);
    const padding = Number.parseFloat(style.paddingLeft) + Number.parseFloat(style.paddingRight);
    const width = Math.floor(this.grid.clientWidth - padding);
    if (width > 0) for (const album of this.albums) album.arrange(width, still);
  }

  /** A thumbnail has come: it has the proportions of its photo. */
  measure(image, tile, hit) {
    const { naturalWidth, naturalHeight } = image;
    const has = (album) => album.measure(tile, hit, naturalWidth, naturalHeight);
    if (!this.albums.some(has) || this.arranging) return;
    // Several thumbnails come between two frames.
    this.arranging = requestAnimationFrame(() => {
      this.arranging = null;
      this.arrange(true);
    });
  }

  /** Check again whether the end is in view: it may still be after a page was added. */
  watchEnd() {
    this.watch.disconnect();
    this.watch.observe(this.end);
  }

  at(id) {
    return this.hits.findIndex((hit) => hit.id === id);
  }

  /** The photo of a tile, or of something in it. */
  hitOf(part) {
    return this.hits[this.at(find("a", part.closest("li")).dataset.id)];
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
    const name = element("span", { class: "name" });
    const moment = element("span", { class: "moment", "aria-hidden": "true", hidden: true });
    const link = element("a", { tabindex: -1, "data-id": hit.id }, image, name, moment);
    const more = element("button", { type: "button", class: "copies", tabindex: -1, hidden: true });
    const tile = element("li", {}, link, Selection.box(), more);
    image.addEventListener("load", () => this.measure(image, tile, hit));
    showImage(image, thumbnailPath(hit.id), true);
    return tile;
  }

  fill(tile, hit) {
    const [link] = tile.children;
    link.href = this.link(hit);
    link.dataset.path = hit.path;
    tile.classList.toggle("weak", hit.grade === "weak");
    tile.classList.toggle("copy", Boolean(hit.copyOf));
    find(".name", tile).textContent = nameOf(hit.path);
    const moment = find(".moment", tile);
    moment.hidden = !isFrame(hit);
    moment.textContent = isFrame(hit) ? `▸ ${clock(hit.moment)}` : "";
    this.label(tile, hit, false);
  }

  /** The button of a photo that has copies. */
  label(tile, hit, open) {
    const copies = hit.duplicate_ids?.length ?? 0;
    const button = find(".copies", tile);
    button.hidden = copies === 0;
    const moments = hit.duplicates?.every((path) => path === hit.path);
    const more = moments ? `+${counted(copies, "moment")}` : `+${copies} like it`;
    button.textContent = open ? "Put together" : more;
    button.setAttribute("aria-expanded", String(open));
    tile.classList.toggle("open", open);
  }

  /** Show the copies of a photo beside it, or put them together again. */
  toggle(hit) {
    const tile = this.tiles.get(hit.id);
    const album = this.albums.find(({ tiles }) => tiles.includes(tile));
    const at = this.at(hit.id) + 1;
    const open = this.hits[at]?.copyOf === hit.id;
    if (open) {
      const gone = this.hits.splice(at, hit.duplicate_ids.length);
      album.remove(gone.map(({ id }) => this.tiles.get(id)));
      for (const photo of gone) this.selection.set(photo, false);
      this.selection.show();
      for (const { id } of gone) this.tiles.delete(id);
    } else {
      const copies = hit.duplicates.map((path, row) => {
        return { id: hit.duplicate_ids[row], path, copyOf: hit.id, grade: hit.grade };
      });
      for (const copy of copies) this.tiles.set(copy.id, this.tile(copy));
      const tiles = copies.map(({ id }) => this.tiles.get(id));
      copies.forEach((copy, row) => this.fill(tiles[row], copy));
      this.hits.splice(at, 0, ...copies);
      album.insert(tile, tiles, copies);
    }
    this.label(tile, hit, !open);
    this.nameAll();
    this.arrange();
  }

  clicked(event) {
    if (event.target.matches(".choose")) {
      return this.selection.toggle(this.hitOf(event.target), event.shiftKey);
    }
    const copies = event.target.closest(".copies");
    if (copies) return this.toggle(this.hitOf(copies));
    const link = event.target.closest("a");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return; // opens a new tab
    event.preventDefault();
    // As soon as one photo is selected, a click selects others.
    if (this.selection.active) this.selection.toggle(this.hitOf(link));
    else this.open(this.hitOf(link));
  }

  /** A finger that stays on a photo selects it; a mouse opens the menu of the browser. */
  held(event) {
    const link = event.target.closest("a");
    if (!link || event.pointerType !== "touch") return;
    event.preventDefault();
    this.selection.toggle(this.hitOf(link));
  }

  /** Make this the only tile that Tab reaches (roving tabindex); arrow keys reach the others. */
  reach(link) {
    if (!link) return;
    for (const one of this.grid.querySelectorAll('[tabindex="0"]')) one.tabIndex = -1;
    for (const one of link.parentElement.querySelectorAll("a, button, input")) one.tabIndex = 0;
  }

  key(event) {
    const links = this.links;
    const at = links.indexOf(event.target.closest("li")?.querySelector("a"));
    if (event.key === " " && event.target.matches("a")) {
      event.preventDefault();
      return this.selection.toggle(this.hitOf(event.target), event.shiftKey);
    }
    if (event.key === "Escape" && this.selection.active) return this.selection.clear();
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    let to;
    if (event.key in STEPS) to = at + STEPS[event.key];
    else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      to = beside(links, at, event.key === "ArrowUp" ? -1 : 1);
    }
    else if (event.key === "Home") to = 0;
    else if (event.key === "End") to = links.length - 1;
    else if (event.key === "Escape") to = -1;
    else return;
    event.preventDefault();
    if (to < 0 && event.key !== "ArrowLeft") this.leave();
    else links[Math.max(0, Math.min(to, links.length - 1))].focus();
  }
}

/** Photos that follow each other and have the same heading. */
function grouped(hits, headingOf) {
  const groups = [];
  for (const hit of hits) {
    const title = headingOf(hit);
    if (groups.at(-1)?.title !== title || groups.length === 0) groups.push({ title, group: [] });
    groups.at(-1).group.push(hit);
  }
  return groups;
}

/**
 * The photo in the row above or below (`by` is -1 or 1) whose middle is closest; -1 above the first
 * row, and the last photo below the last row.
 */
function beside(links, at, by) {
  const boxes = new Map();
  const box = (row) => boxes.get(row) ?? boxes.set(row, links[row].getBoundingClientRect()).get(row);
  const middle = (row) => box(row).left + box(row).width / 2;
  let to = at;
  while (links[to] && box(to).top === box(at).top) to += by;
  if (!links[to]) return by < 0 ? -1 : links.length - 1;
  let best = to;
  for (let next = to; links[next] && box(next).top === box(to).top; next += by) {
    if (Math.abs(middle(next) - middle(at)) < Math.abs(middle(best) - middle(at))) best = next;
  }
  return best;
}
