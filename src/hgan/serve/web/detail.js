// One photo in full size: its metadata, why it was found, and links to the photos next to it.

import { explain, item, photoPath, screenPath, thumbnailPath } from "./api.js";
import { clock, counted, element, find, folderOf, isFrame, nameOf, titleOf } from "./dom.js";
import { levelBars, remarks, sentence, slotBars } from "./explain.js";
import { draw } from "./heat.js";
import { located, show as showImage } from "./images.js";
import { MOST, Player } from "./video.js";

const dialog = find("dialog.detail");
const part = (selector) => find(selector, dialog);
const stage = part(".stage");
const frame = part(".frame");
const photo = part(".photo");
const heat = part(".heat");
const region = part(".region");

const TOO_LARGE = "This video is too large to be played here with a key.";
const GRADES = { strong: "Strong match", fair: "Fair match", weak: "Weak match" };

export class Detail {
  /**
   * Callbacks: `close()`, `step(by)`, `similar(id)`, and `folder(name)` for the photos of a folder.
   */
  constructor({ close, step, similar, folder }) {
    this.folder = folder;
    this.id = null;
    this.ratio = 1;
    this.opened = false; // the figures
    this.player = new Player(part(".video"));
    part(".close").addEventListener("click", close);
    part(".previous").addEventListener("click", () => step(-1));
    part(".next").addEventListener("click", () => step(1));
    part(".similar").addEventListener("click", () => similar(this.id));
    part(".original").addEventListener("click", (event) => this.openOriginal(event));
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault(); // the change of the address closes the dialog
      close();
    });
    dialog.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey || isPlayer(event)) return;
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by) return;
      event.preventDefault();
      step(by);
    });
    stage.addEventListener("click", (event) => event.target === stage && close());
    this.listenToSwipes(step);
  }

  get isOpen() {
    return dialog.open;
  }

  /**
   * Show a photo.
   *
   * @param hit the photo in the results; only its id if it is not in the results
   * @param query the current query
   * @param weights the weights of the levels in the score
   * @param ends whether this is the first and the last photo
   */
  async show(hit, query, weights, ends) {
    this.bound(ends);
    if (this.id === hit.id && dialog.open) return;
    this.id = hit.id;
    this.asking?.abort();
    this.asking = new AbortController();
    const { signal } = this.asking;
    this.player.close();
    this.light(null);
    this.showPhoto(hit);
    this.name(hit);
    part(".facts").replaceChildren();
    part(".original").removeAttribute("href");
    part(".side").scrollTop = 0;
    this.showWhy(hit, weights, null);
    if (!dialog.open) {
      dialog.showModal();
      part(".close").focus();
    }
    const facts = item(hit.id, signal).then((known) => {
      this.name(known);
      this.showFacts(known, hit.duplicates ?? []);
      this.showFile(known, signal);
    });
    const why = query.text.trim()
      ? explain(hit.id, query.text, signal).then((found) => this.showWhy(hit, weights, found))
      : null;
    const [first, second] = await Promise.allSettled([facts, why]);
    if (signal.aborted) return;
    if (first.reason) this.note(part(".facts"), first.reason.message);
    if (second.reason) this.note(part(".why"), second.reason.message);
  }

  /** Disable buttons at both ends. A disabled one must not keep the focus, or keys stop working. */
  bound({ first, last }) {
    const focused = document.activeElement;
    part(".previous").disabled = first;
    part(".next").disabled = last;
    if (focused?.disabled) part(".close").focus();
  }

  hide() {
    this.asking?.abort();
    this.player.close();
    this.id = null;
    if (dialog.open) dialog.close();
  }

  /** Show the thumbnail at once, and the photo in the same place as soon as it is loaded. */
  async showPhoto(hit) {
    frame.classList.remove("known");
    photo.alt = titleOf(hit);
    photo.addEventListener("load", () => this.fit(), { once: true });
    showImage(photo, thumbnailPath(hit.id));
    try {
      await this.enlarge(hit, await located(photoPath(hit.id)));
    } catch {
      // Browsers do not show this format, such as HEIC. Without a response, the thumbnail stays.
      const url = await located(screenPath(hit.id)).catch(() => null);
      if (url) await this.enlarge(hit, url).catch(() => {});
    }
  }

  /** Show a video in place of its frame, and link to the file; one that is a video is saved. */
  async showFile(known, signal) {
    const original = part(".original");
    const name = nameOf(known.path);
    if (isFrame(known)) original.setAttribute("download", name);
    else original.removeAttribute("download");
    const shown = isFrame(known)
      ? this.player.open(known, name, signal)
      : located(photoPath(known.id));
    const url = await shown.catch(() => null);
    if (signal.aborted) return;
    if (url) original.href = url;
    else if (isFrame(known) && known.bytes > MOST) this.note(part(".facts"), TOO_LARGE);
  }

  /** Show the image at this address in place of the thumbnail, as soon as it is loaded. */
  async enlarge(hit, url) {
    const large = new Image();
    large.src = url;
    await large.decode();
    if (this.id === hit.id) photo.src = url;
  }

  fit() {
    this.ratio = photo.naturalWidth / Math.max(photo.naturalHeight, 1);
    frame.style.setProperty("--ratio", this.ratio);
    frame.classList.add("known");
  }

  name(hit) {
    part("#detail-name").textContent = titleOf(hit) || "Photo";
    if (hit.path) photo.alt = titleOf(hit);
  }

  showWhy(hit, weights, explained) {
    const levels = explained?.levels ?? null;
    const parts = hit.levels
      ? Object.entries(hit.levels).map(([name, value]) => ({ name, part: weights[name] * value }))
      : Object.entries(levels ?? {}).map(([name, level]) => ({ name, part: level.part }));
    const shown = [];
    if (hit.grade) shown.push(element("p", { class: `grade ${hit.grade}` }, GRADES[hit.grade]));
    if (explained?.words.length || explained?.patches) {
      shown.push(sentence(explained, (word, values) => this.light(word, values, explained)));
    }
    const figures = [];
    if (parts.length) figures.push(levelBars(parts, hit.score ?? explained.score));
    if (explained?.slots.length) figures.push(slotBars(explained.slots));
    if (figures.length) shown.push(this.figures(figures));
    if (explained) shown.push(...remarks(explained));
    const focused = part(".why").contains(document.activeElement);
    part(".why").replaceChildren(...shown);
    // Keys reach the dialog only if the focus is in it.
    if (focused) (dialog.querySelector(".figures summary") ?? part(".close")).focus();
  }

  /** Figures under a heading that opens them; it stays open from one photo to the next. */
  figures(shown) {
    const title = element("summary", {}, "Details");
    const box = element("details", { class: "figures", open: this.opened }, title, ...shown);
    box.addEventListener("toggle", () => (this.opened = box.open));
    return box;
  }

  /** Show the heat map of a word and a frame around its best region. */
  light(word, values, explained) {
    frame.classList.toggle("lit", Boolean(word));
    region.hidden = !word;
    if (!word) return;
    this.player.pause();
    draw(heat, values, explained.boxes, this.ratio);
    const [left, top, right, bottom] = explained.boxes[word.region].map((side) => `${100 * side}%`);
    Object.assign(region.style, { left, top });
    region.style.right = `calc(100% - ${right})`;
    region.style.bottom = `calc(100% - ${bottom})`;
  }

  showFacts(known, duplicates) {
    const folder = folderOf(known.path);
    const inFolder = () => this.folder(folder);
    const copies = duplicates.filter((path) => path !== known.path); // not frames of the same video
    const rows = [
      ["Folder", folder && element("button", { type: "button", click: inFolder }, folder)],
      ["In the video", isFrame(known) && `at ${clock(known.moment)}`],
      ["Taken", known.taken && whenTaken(known)],
      ["Camera", known.camera],
      ["Tags", known.tags.join(", ")],
      ["Size", size(known.bytes)],
      [counted(copies.length, "near-duplicate"), copies.map(nameOf).join(", ")],
    ].filter(([, value]) => value);
    part(".facts").replaceChildren(
      ...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
    );
  }

  note(place, text) {
    place.append(element("p", { class: "quiet-text" }, text));
  }

  /** Links cannot send a key, so the link is to a blob, once the bytes are loaded. */
  openOriginal(event) {
    if (!event.currentTarget.href) event.preventDefault();
  }

  listenToSwipes(step) {
    let from = null;
    stage.addEventListener("touchstart", (event) => {
      const { touches } = event;
      from = touches.length === 1 && !isPlayer(event) ? touches[0].clientX : null;
    }, { passive: true });
    stage.addEventListener("touchend", ({ changedTouches }) => {
      const by = from === null ? 0 : changedTouches[0].clientX - from;
      from = null;
      if (Math.abs(by) > 60) step(by < 0 ? 1 : -1);
    });
  }
}

/** Whether an event belongs to the player, where keys and fingers seek. */
const isPlayer = ({ target }) => target.matches("video");

/** A time of the file is none of the photo: it may be that of a copy. */
function whenTaken({ taken, file_time: ofFile }) {
  return ofFile ? `${when(taken)}, by the file’s date` : when(taken);
}

function when(taken) {
  const format = { dateStyle: "long", timeStyle: "short" };
  return new Date(taken).toLocaleString(undefined, format); // no time zone: local time of the camera
}

function size(bytes) {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
