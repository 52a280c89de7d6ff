// Past searches: stored in this browser only, listed below the field, and cleared on request.

import { element, find, icon } from "./dom.js";

const KEPT = "hgan.searches";
const MOST = 50;
const SHOWN = 6;

function load() {
  try {
    const found = JSON.parse(localStorage.getItem(KEPT) ?? "[]");
    return Array.isArray(found) ? found.filter((text) => typeof text === "string") : [];
  } catch {
    return []; // damaged, or a browser without storage
  }
}

function save(searches) {
  try {
    localStorage.setItem(KEPT, JSON.stringify(searches));
  } catch {
    // Without storage, there are no past searches.
  }
}

/** Store a finished search. */
export function remember(text) {
  const one = text.trim();
  if (!one) return;
  save([one, ...load().filter((other) => other !== one)].slice(0, MOST));
}

/** The list of past searches below the field, as a combobox: the focus stays in the field. */
export class Past {
  constructor(choose) {
    this.field = find("#words");
    this.box = find(".past");
    this.list = find("#past");
    this.choose = choose;
    this.active = -1;
    this.field.addEventListener("focus", () => this.offer());
    this.field.addEventListener("click", () => this.offer());
    this.field.addEventListener("input", () => this.offer());
    this.field.addEventListener("blur", () => this.hide());
    this.field.addEventListener("keydown", (event) => this.key(event));
    // Pressing must not move the focus, or the list would close before the click arrives.
    this.box.addEventListener("pointerdown", (event) => event.preventDefault());
    find(".forget").addEventListener("click", () => {
      save([]);
      this.hide();
      this.field.focus();
    });
  }

  get open() {
    return !this.box.hidden;
  }

  offer() {
    const typed = this.field.value.trim().toLowerCase();
    const fits = load()
      .filter((text) => text.toLowerCase().startsWith(typed) && text.toLowerCase() !== typed)
      .slice(0, SHOWN);
    if (fits.length === 0) return this.hide();
    this.active = -1;
    this.field.removeAttribute("aria-activedescendant");
    this.list.replaceChildren(
      ...fits.map((text, row) =>
        element(
          "li",
          {
            id: `past-${row}`,
            role: "option",
            "aria-selected": "false",
            click: () => this.take(text),
          },
          icon("past"),
          element("span", {}, text),
        ),
      ),
    );
    this.box.hidden = false;
    this.field.setAttribute("aria-expanded", "true");
  }

  hide() {
    this.box.hidden = true;
    this.active = -1;
    this.field.setAttribute("aria-expanded", "false");
    this.field.removeAttribute("aria-activedescendant");
  }

  take(text) {
    this.hide();
    this.choose(text);
  }

  /** Handle the keys of the list; all others go to the field. */
  key(event) {
    if (!this.open) return;
    const options = [...this.list.children];
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const by = event.key === "ArrowDown" ? 1 : -1;
      if (this.active === options.length - 1 && by === 1) return this.hide(); // then to the photos
      this.active = Math.max(this.active + by, -1);
      options.forEach((option, row) => {
        option.setAttribute("aria-selected", String(row === this.active));
      });
      if (this.active < 0) this.field.removeAttribute("aria-activedescendant");
      else this.field.setAttribute("aria-activedescendant", options[this.active].id);
    } else if (event.key === "Enter" && this.active >= 0) {
      this.take(options[this.active].textContent);
    } else if (event.key === "Escape") {
      this.hide();
    } else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }
}
