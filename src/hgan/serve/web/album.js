// Photos in justified rows, under a heading if they have one.

import { element } from "./dom.js";
import { gapFor, heightFor, justified, ratioOf, rebalanced } from "./rows.js";

/** Width / height of photos whose size the service does not know, by id, once they were loaded. */
const measured = new Map();

export class Album {
  /** `title` is the heading; null for none. */
  constructor(title) {
    this.title = title;
    this.list = element("ul", { class: "grid", "aria-label": title ?? "Photos found" });
    const heading = title === null ? null : element("h2", { class: "heading" }, title);
    this.element = element("section", { class: "album" }, heading, this.list);
    this.tiles = [];
    this.ratios = [];
    this.rows = [];
    this.width = 0;
    this.changed = false;
  }

  /** Append tiles; `hits` are the photos that they show. */
  add(tiles, hits) {
    this.list.append(...tiles);
    this.tiles.push(...tiles);
    this.ratios.push(...hits.map((hit) => known(hit) ?? ratioOf(0, 0)));
    this.changed = true;
  }

  /** Insert tiles after another one. */
  insert(before, tiles, hits) {
    const at = this.tiles.indexOf(before) + 1;
    before.after(...tiles);
    this.tiles.splice(at, 0, ...tiles);
    this.ratios.splice(at, 0, ...hits.map((hit) => known(hit) ?? ratioOf(0, 0)));
    this.changed = true;
  }

  remove(tiles) {
    for (const tile of tiles) {
      const at = this.tiles.indexOf(tile);
      tile.remove();
      this.tiles.splice(at, 1);
      this.ratios.splice(at, 1);
    }
    this.changed = true;
  }

  /** The size of a photo was not known; whether it changes anything. */
  measure(tile, hit, width, height) {
    const at = this.tiles.indexOf(tile);
    if (at < 0 || known(hit)) return false;
    measured.set(hit.id, ratioOf(width, height));
    this.ratios[at] = measured.get(hit.id);
    this.changed = true;
    return true;
  }

  /**
   * Arrange the tiles if anything has changed. `still`: rows that are in the window or above it keep
   * their photos and height, so that nothing moves up or down under the reader's eyes.
   */
  arrange(width, still) {
    if (!this.changed && width === this.width) return;
    const [gap, height] = [gapFor(width), heightFor(width)];
    const kept = still && width === this.width ? this.rows.filter((row) => this.seen(row)) : [];
    for (const row of kept) this.place({ ...row, widths: rebalanced(row, this.ratios) });
    const start = kept.at(-1)?.end ?? 0;
    const rest = justified(this.ratios.slice(start), width, height, gap);
    const rows = rest.map((row) => ({ ...row, start: row.start + start, end: row.end + start }));
    this.list.style.gap = `${gap}px`;
    for (const row of rows) this.place(row);
    this.rows = [...kept, ...rows];
    this.element.style.width = this.isShort ? `${widthOf(this.rows[0], gap)}px` : "100%";
    this.width = width;
    this.changed = false;
  }

  /** Whether it does not fill one row, so that the next album has place beside it. */
  get isShort() {
    return this.rows.length === 1 && !this.rows[0].full;
  }

  seen(row) {
    return row.full && this.tiles[row.start].getBoundingClientRect().top < innerHeight;
  }

  place({ start, height, widths }) {
    widths.forEach((width, at) => {
      const { style } = this.tiles[start + at];
      style.width = `${width}px`;
      style.height = `${height}px`;
    });
  }
}

const widthOf = ({ widths }, gap) => widths.reduce((sum, width) => sum + width + gap, -gap);

/** Width / height of a photo; null if it is not known. */
function known({ id, width, height }) {
  return width && height ? ratioOf(width, height) : (measured.get(id) ?? null);
}
