// Suggestions while typing: names of fields, and values that the photos have. They are listed below
// the field, as a combobox: the focus stays in the field.

import { suggest } from "./api.js";
import { counted, element, find } from "./dom.js";

/** Milliseconds from the last key press to the request. */
const PAUSE = 80;
const SHOWN = 7;
/** What may be completed: a condition, a tag, or a word of three letters. */
const TYPED = /(^|[\s(])-?(\w+(:|=|[<>]=?)("[^"]*|[^\s"]*)|#\S*|\p{L}{3,})$/u;

const points = (text) => [...text].length;

export class Offers {
  /** `choose(line)` is called with the completed line; `opened()` when the list is shown. */
  constructor({ choose, opened }) {
    this.field = find("#words");
    this.box = find(".offers");
    this.list = find("#offers");
    this.choose = choose;
    this.opened = opened;
    this.found = [];
    this.active = -1;
    this.field.addEventListener("input", () => this.ask());
    this.field.addEventListener("blur", () => this.hide());
    this.field.addEventListener("keydown", (event) => this.key(event));
    // Pressing must not move the focus, or the list would close before the click arrives.
    this.box.addEventListener("pointerdown", (event) => event.preventDefault());
  }

  get open() {
    return !this.box.hidden;
  }

  /** Ask for what can be written at the cursor. */
  ask() {
    clearTimeout(this.timer);
    this.asking?.abort();
    const line = this.field.value;
    const before = line.slice(0, this.field.selectionStart ?? line.length);
    if (!TYPED.test(before)) return this.hide();
    this.timer = setTimeout(() => this.load(line, points(before)), PAUSE);
  }

  async load(line, at) {
    const asking = new AbortController();
    this.asking = asking;
    try {
      const { suggestions } = await suggest(line, at, SHOWN, asking.signal);
      if (this.field.value === line && document.activeElement === this.field) {
        this.show(line, suggestions);
      }
    } catch {
      // Aborted by the next key press: hiding would cancel the request that waits for its pause.
      if (asking.signal.aborted) return;
      this.hide(); // they are a help only: the search itself reports what is wrong
    }
  }

  show(line, found) {
    if (found.length === 0) return this.hide();
    this.line = line;
    this.found = found;
    this.active = -1;
    this.list.replaceChildren(...found.map((one, row) => this.option(one, row)));
    this.box.hidden = false;
    this.field.setAttribute("aria-controls", "offers");
    this.field.setAttribute("aria-expanded", "true");
    this.field.removeAttribute("aria-activedescendant");
    this.opened();
  }

  option({ text, photos }, row) {
    return element(
      "li",
      {
        id: `offer-${row}`,
        role: "option",
        "aria-selected": "false",
        click: () => this.take(row),
      },
      element("span", {}, text),
      photos === null ? null : element("small", {}, counted(photos, "photo")),
    );
  }

  hide() {
    clearTimeout(this.timer);
    this.asking?.abort();
    if (!this.open) return;
    this.box.hidden = true;
    this.active = -1;
    this.field.setAttribute("aria-controls", "past");
    this.field.setAttribute("aria-expanded", "false");
    this.field.removeAttribute("aria-activedescendant");
  }

  /** Write a suggestion into the line; after the name of a field, its values are suggested. */
  take(row) {
    const { text, start, end, kind } = this.found[row];
    const letters = [...this.line];
    const rest = letters.slice(end).join("");
    const space = kind === "value" && !rest.startsWith(" ") ? " " : "";
    const before = letters.slice(0, start).join("") + text + space;
    this.hide();
    this.field.value = before + rest;
    this.field.setSelectionRange(before.length, before.length);
    this.choose(before + rest);
    if (kind === "field") this.ask();
  }

  /** Handle the keys of the list; all others go to the field. */
  key(event) {
    if (!this.open) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const by = event.key === "ArrowDown" ? 1 : -1;
      if (this.active === this.found.length - 1 && by === 1) return this.hide(); // then to the photos
      this.active = Math.max(this.active + by, -1);
      const options = [...this.list.children];
      options.forEach((option, row) => {
        option.setAttribute("aria-selected", String(row === this.active));
      });
      if (this.active < 0) this.field.removeAttribute("aria-activedescendant");
      else this.field.setAttribute("aria-activedescendant", options[this.active].id);
    } else if (event.key === "Enter" && this.active >= 0) {
      this.take(this.active);
    } else if (event.key === "Escape") {
      this.hide();
    } else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }
}
