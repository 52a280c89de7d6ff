// The query: an immutable value, converted to and from the address and into requests.

import * as upload from "./upload.js";

const NOTHING = {
  text: "", // a line with words and conditions
  photo: null, // chosen, dropped or pasted by the user; see upload.js
  like: null, // the id of a photo of the index
  share: 0.5, // weight of the photo; the words have the rest
  without: [],
  folder: "",
  from: "",
  until: "",
  camera: "",
  tags: [],
  fold: true,
};
const DAY = /^\d{4}-\d\d-\d\d$/;

export class Query {
  constructor(parts = {}) {
    Object.assign(this, NOTHING, parts);
    Object.freeze(this);
  }

  /** A copy with some parts changed. */
  with(parts) {
    return new Query({ ...this, ...parts });
  }

  /** Whether there is nothing to rank photos by: all that meet the filters are shown by time. */
  get browses() {
    return !this.text.trim() && !this.hasPhoto;
  }

  /** Whether this is the start page: neither a query nor filters. */
  get empty() {
    return this.browses && this.conditions().length + this.without.length === 0;
  }

  get hasPhoto() {
    return Boolean(this.photo || this.like);
  }

  /** The body of a search request. */
  body() {
    const body = { q: this.text, without: this.without, where: this.conditions() };
    if (this.like) body.like = this.like;
    if (this.hasPhoto) body.share = this.share;
    body.fold = this.fold;
    return body;
  }

  conditions() {
    const found = this.tags.map((tag) => `tag=${tag}`);
    if (this.folder) found.push(`folder=${this.folder}`);
    if (this.from) found.push(`taken>=${this.from}`);
    if (this.until) found.push(`taken<=${this.until}`);
    if (this.camera) found.push(`camera=${this.camera}`);
    return found;
  }

  /** The number of active filters. */
  get filters() {
    return this.conditions().length + this.without.length + (this.fold ? 0 : 1);
  }

  /** The query string of the address. */
  parameters() {
    const found = new URLSearchParams();
    if (this.text) found.set("q", this.text);
    if (this.photo) found.set("photo", this.photo.number);
    if (this.like) found.set("like", this.like);
    if (this.hasPhoto && this.text && this.share !== NOTHING.share) found.set("share", this.share);
    for (const text of this.without) found.append("without", text);
    for (const name of ["folder", "from", "until", "camera"]) {
      if (this[name]) found.set(name, this[name]);
    }
    for (const tag of this.tags) found.append("tag", tag);
    if (!this.fold) found.set("fold", "0");
    return found;
  }

  /** The query of an address; values that are not valid are ignored. */
  static of(parameters) {
    const text = (name) => (parameters.get(name) ?? "").trim();
    const day = (name) => (DAY.test(text(name)) ? text(name) : "");
    const share = Number.parseFloat(text("share"));
    return new Query({
      text: parameters.get("q") ?? "",
      photo: upload.recall(text("photo")),
      like: text("like") || null,
      share: share >= 0 && share <= 1 ? share : NOTHING.share,
      without: parameters.getAll("without").filter((one) => one.trim()),
      folder: text("folder"),
      from: day("from"),
      until: day("until"),
      camera: text("camera"),
      tags: parameters.getAll("tag").filter((one) => one.trim()),
      fold: text("fold") !== "0",
    });
  }
}
