// What is searched for: one value that never changes, as the address has it and the service takes it.

import * as given from "./given.js";

const NOTHING = {
  text: "",
  photo: null, // one that was picked, dropped or pasted; see given.js
  like: null, // the id of a photo of the index
  share: 0.5, // what a photo counts beside the words
  without: [],
  folder: "",
  from: "",
  until: "",
  camera: "",
  tags: [],
  fold: false,
};
const DAY = /^\d{4}-\d\d-\d\d$/;

export class Query {
  constructor(parts = {}) {
    Object.assign(this, NOTHING, parts);
    Object.freeze(this);
  }

  /** This one with some parts changed. */
  with(parts) {
    return new Query({ ...this, ...parts });
  }

  /** Nothing to search for: filters choose among photos, but name none. */
  get empty() {
    return !this.text.trim() && !this.photo && !this.like;
  }

  get hasPhoto() {
    return Boolean(this.photo || this.like);
  }

  /** As the service's searches take it. */
  asked() {
    const body = { text: this.text, without: this.without, where: this.conditions() };
    if (this.like) body.like = this.like;
    if (this.hasPhoto) body.share = this.share;
    if (this.fold) body.fold = true;
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

  /** How many filters are set. */
  get filters() {
    return this.conditions().length + this.without.length + (this.fold ? 1 : 0);
  }

  /** As the address has it, after the question mark. */
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
    if (this.fold) found.set("fold", "1");
    return found;
  }

  /** The way back; what makes no sense there is left out. */
  static of(parameters) {
    const text = (name) => (parameters.get(name) ?? "").trim();
    const day = (name) => (DAY.test(text(name)) ? text(name) : "");
    const share = Number.parseFloat(text("share"));
    return new Query({
      text: parameters.get("q") ?? "",
      photo: given.recall(text("photo")),
      like: text("like") || null,
      share: share >= 0 && share <= 1 ? share : NOTHING.share,
      without: parameters.getAll("without").filter((one) => one.trim()),
      folder: text("folder"),
      from: day("from"),
      until: day("until"),
      camera: text("camera"),
      tags: parameters.getAll("tag").filter((one) => one.trim()),
      fold: text("fold") === "1",
    });
  }
}
