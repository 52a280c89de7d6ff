// Selected photos: a checkbox on each tile, and a bar to download them.

import { download, photoPath } from "./api.js";
import { counted, element, find, isFrame, titleOf } from "./dom.js";
import { located } from "./images.js";

/** Maximum number of photos of one download by the service. */
const MOST = 500;
/** Milliseconds after which the browser has surely begun to save a file. */
const SAVED = 60_000;

const bar = find(".selection");
const count = find(".selected", bar);
const save = find(".save", bar);

export class Selection {
  /** `photos()` returns all photos in their order, and `tile(id)` the tile of one. */
  constructor({ photos, tile }) {
    this.photos = photos;
    this.tile = tile;
    this.chosen = new Map(); // photos by id
    this.last = null; // the id of the one that was chosen last, where a range starts
    save.addEventListener("click", () => this.download());
    find(".none", bar).addEventListener("click", () => this.clear());
  }

  get active() {
    return this.chosen.size > 0;
  }

  /** A checkbox for the tile of a photo. */
  static box() {
    return element("input", { type: "checkbox", class: "choose", tabindex: -1 });
  }

  /** Select a photo, or take it out; with `range`, all from the last one to it become the same. */
  toggle(hit, range = false) {
    const on = !this.chosen.has(hit.id);
    const all = this.photos();
    const ends = [this.last, hit.id].map((id) => all.findIndex((photo) => photo.id === id));
    const [from, to] = range && ends[0] >= 0 ? ends.sort((a, b) => a - b) : [ends[1], ends[1]];
    for (const photo of all.slice(from, to + 1)) this.set(photo, on);
    this.last = hit.id;
    this.show();
  }

  set(photo, on) {
    if (on) this.chosen.set(photo.id, photo);
    else this.chosen.delete(photo.id);
    const tile = this.tile(photo.id);
    if (!tile) return;
    find(".choose", tile).checked = on;
    tile.classList.toggle("chosen", on);
  }

  clear() {
    for (const photo of [...this.chosen.values()]) this.set(photo, false);
    this.last = null;
    this.show();
  }

  show(text = `${this.chosen.size} selected`) {
    bar.hidden = !this.active;
    document.body.classList.toggle("selecting", this.active);
    count.textContent = text;
  }

  async download() {
    const photos = [...this.chosen.values()];
    if (photos.length > MOST) return this.show(`At most ${counted(MOST, "photo")} at once`);
    save.disabled = true;
    this.show("Getting the files …");
    try {
      if (photos.length === 1) offer(await located(photoPath(photos[0].id)), fileName(photos[0]));
      else {
        const url = URL.createObjectURL(await download(photos.map(({ id }) => id)));
        offer(url, "photos.zip");
        setTimeout(() => URL.revokeObjectURL(url), SAVED);
      }
      this.show();
    } catch (problem) {
      this.show(problem.message);
    }
    save.disabled = false;
  }
}

/** The name of a saved photo; of a frame of a video, that of its picture. */
const fileName = (hit) => (isFrame(hit) ? `${titleOf(hit).replaceAll(":", "-")}.jpg` : titleOf(hit));

/** Let the browser save a file. */
function offer(url, name) {
  element("a", { href: url, download: name }).click();
}
