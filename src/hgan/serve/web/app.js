// The page: the current query, its address, and the parts of the page that show it.

import * as address from "./address.js";
import * as api from "./api.js";
import * as chips from "./chips.js";
import { monthOf } from "./browse.js";
import { Detail } from "./detail.js";
import { counted, element, find, icon } from "./dom.js";
import * as filters from "./filters.js";
import * as hint from "./hint.js";
import { Past, remember } from "./history.js";
import { show as showImage } from "./images.js";
import * as notice from "./notice.js";
import { Offers } from "./offers.js";
import { Results } from "./results.js";
import { Search } from "./search.js";
import * as upload from "./upload.js";
import * as welcome from "./welcome.js";

/**
 * Milliseconds from the last key press to the search; searches with a photo take longer. Shorter than
 * that, most searches would be overtaken by the next key, and the last one would wait for them.
 */
const WORDS = 70;
const PHOTO = 250;
const CONDITION = 400;
/** Milliseconds after which the text is added to the history as a finished search. */
const FINISHED = 2500;
/** Milliseconds until the status is requested again after an error. */
const STATUS = 3000;

const field = find("#words");
const count = find(".count");
const share = find(".share");
const slider = find("input", share);

let { query, open, lost } = address.read();
let status = null;
let typing = false; // the user is typing; `back` undoes all of it in one step
let finished = null;
let words = null; // of the line, without its conditions; known with its results
let byTime = false; // nothing to rank by: the newest come first

const search = new Search(found, failed, (busy) => {
  find(".busy").hidden = !busy;
});
const results = new Results({
  open: (hit) => {
    settle();
    go(query, hit.id, true);
  },
  link: (hit) => address.link(query, hit.id),
  more: () => search.more(),
  leave: () => field.focus(),
});
const detail = new Detail({
  close: () => (address.canGoBack() ? history.back() : go(query, null, false)),
  step,
  similar: (id) => change({ like: id, photo: null, text: "" }, { open: null }),
  folder: (folder) => change({ folder }, { open: null }),
});
const past = new Past((text) => {
  field.value = text;
  change({ text });
  settle();
});
const offers = new Offers({
  choose: (text) => change({ text }, { typing: true }),
  opened: () => past.hide(),
});

/** Change the query and search. `typing`: more changes will follow. */
function change(parts, { typing: more = false, open: photo = open } = {}) {
  const next = query.with(parts);
  if (address.link(next) === address.link(query) && photo === open) return;
  const step = !(more && typing);
  if (!more) settle();
  typing = more;
  clearTimeout(finished);
  if (more) finished = setTimeout(settle, FINISHED);
  query = next;
  open = photo;
  address.write(query, open, step);
  showQuery();
  start(more ? delayOf(query) : 0);
}

/** Milliseconds until a search while typing. */
function delayOf({ text, photo }) {
  if (chips.isCondition(text)) return CONDITION;
  return photo ? PHOTO : WORDS;
}

/** The query is finished: add it to past searches, and make it a step of the history. */
function settle() {
  clearTimeout(finished);
  typing = false;
  remember(query.text);
}

/** Go to another query, another photo, or both. */
function go(to, photo, step) {
  const same = address.link(to) === address.link(query);
  query = to;
  open = photo;
  if (step !== null) address.write(query, open, step);
  if (same) return showDetail();
  showQuery();
  start(0);
}

/** Start the search; without words or a photo, all photos are shown by time. */
function start(delay) {
  if (query.browses && lost) {
    search.stop();
    results.clear();
    hint.hide();
    chips.hide();
    detail.hide();
    count.textContent = "";
    return notice.lostPhoto();
  }
  lost = false;
  search.start(query, delay);
  if (query.empty) showWelcome();
  if (!open) detail.hide();
}

function showWelcome() {
  welcome.show(status, address.link, (example) => change({ ...example }, { open: null }));
}

function found({ hits, notices, suggestion, parsed }, offset, complete) {
  words = parsed?.text ?? query.text;
  byTime = query.browses || (chips.areAll(parsed) && !query.hasPhoto && query.without.length === 0);
  if (query.empty) showWelcome();
  else welcome.hide();
  notice.hide();
  results.add(hits, offset, byTime ? monthOf : undefined);
  if (offset === 0) {
    scrollTo(0, 0);
    hint.show(query.browses ? withoutWords() : notices, suggestion, (text) => change({ text }));
    chips.show(query.text, parsed?.parts ?? [], (text) => change({ text }));
  }
  filters.suggestFolders(hits);
  const { hits: shown } = results;
  count.textContent = summary(shown, complete);
  if (shown.length === 0 && query.empty) notice.empty(status?.name);
  else if (shown.length === 0) notice.nothing(query, change, parsed);
  showDetail();
}

/** What only changes the order of a search has no effect on the timeline. */
function withoutWords() {
  return query.without.length ? ["Add words: “without” changes what they find"] : [];
}

/** What to say about the results. */
function summary(hits, complete) {
  if (hits.length === 0) return "Nothing found";
  // What photos should not show describes nothing that they could fail to show.
  if (hits[0].grade === "weak" && words?.trim()) return "Probably nothing like this here. These come closest.";
  if (query.empty) return "";
  if (complete) {
    const alone = hits.filter(({ copyOf }) => !copyOf);
    const all = alone.reduce((sum, hit) => sum + 1 + (hit.duplicates?.length ?? 0), 0);
    return `All ${counted(all, "photo")}`;
  }
  return byTime ? "Newest first" : "Best first";
}

function failed(problem) {
  welcome.hide();
  hint.hide();
  chips.hide();
  if (results.hits.length && search.offset === 0) results.clear();
  count.textContent = "";
  notice.problem(problem, query, {
    again: problem.status === 401 ? begin : () => search.again(),
    change,
  });
}

/** Show the open photo, or close the dialog. */
function showDetail() {
  if (open && !status) return; // shown as soon as the status is known
  if (!open) {
    const before = detail.id;
    detail.hide();
    if (before) results.focus(before);
    return;
  }
  const at = results.at(open);
  const ends = { first: at <= 0, last: at < 0 || (at === results.hits.length - 1 && search.complete) };
  detail.show(results.hits[at] ?? { id: open }, query.with({ text: words ?? query.text }), status.weights, ends);
  if (at >= results.hits.length - 6) search.more();
}

/** Go to the photo before or after the open one. */
function step(by) {
  const at = results.at(open);
  const next = at < 0 ? null : results.hits[at + by];
  if (next) go(query, next.id, false);
}

/** Update every control from the query. */
function showQuery() {
  if (field.value !== query.text) field.value = query.text;
  field.placeholder = query.hasPhoto ? "add words" : "Describe a photo";
  find("button.clear").hidden = !query.text; // a photo has its own button
  share.hidden = !(query.hasPhoto && query.text.trim());
  slider.value = Math.round(100 * query.share);
  showUpload();
  filters.show(query);
  const what = query.text.trim() || (query.hasPhoto ? "Similar photos" : "");
  // The start page has a heading of its own.
  find(".subject").hidden = query.empty;
  find(".subject").textContent = what || "Photos";
  document.title = [what, status?.name].filter(Boolean).join(" · ") || "Photos";
}

/** Show the photo of the query in the search field: uploaded, or from the index. */
function showUpload() {
  const box = find(".upload");
  const name = query.photo?.number ?? query.like ?? "";
  if (box.dataset.name === name) return;
  box.dataset.name = name;
  box.hidden = !query.hasPhoto;
  if (!query.hasPhoto) return box.replaceChildren();
  const image = element("img", { alt: query.photo?.name ?? "A photo from the index" });
  if (query.photo) {
    image.onload = () => image.classList.add("shown");
    image.src = query.photo.preview;
  } else showImage(image, api.thumbnailPath(query.like));
  const click = () => {
    change({ photo: null, like: null });
    field.focus();
  };
  const attributes = { type: "button", "aria-label": "Remove the photo", click };
  box.replaceChildren(image, element("button", attributes, icon("close")));
}

function listen() {
  field.addEventListener("input", () => change({ text: field.value }, { typing: true }));
  field.addEventListener("blur", () => typing && settle());
  field.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" && results.hits.length) {
      event.preventDefault();
      results.focusFirst();
    }
  });
  find("form.search").addEventListener("submit", (event) => {
    event.preventDefault();
    past.hide();
    offers.hide();
    settle();
  });
  find("button.clear").addEventListener("click", () => {
    change({ text: "" });
    field.focus();
  });
  find(".home").addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    change({ text: "", photo: null, like: null, ...filters.NONE }, { open: null });
    field.focus();
    past.hide();
  });
  slider.addEventListener("input", () => change({ share: slider.value / 100 }, { typing: true }));
  filters.listen((parts, more) => change(parts, { typing: more }));
  upload.listen((photo) => change({ photo, like: null }, { open: null }));
  addEventListener("popstate", () => {
    typing = false;
    const now = address.read();
    lost = now.lost;
    go(now.query, now.open, null);
  });
  document.addEventListener("keydown", (event) => {
    const writes = event.target.closest?.("input, textarea, select, dialog");
    if (event.key !== "/" || writes || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    field.focus();
    field.select();
  });
}

/** Start the search of the address, and request the status. */
function begin() {
  notice.hide();
  showQuery();
  start(0);
  ask();
}

async function ask() {
  try {
    status = await api.status();
  } catch (problem) {
    if (problem.status !== 401) setTimeout(ask, STATUS); // the search will ask for the key
    return;
  }
  showQuery();
  if (query.empty && !lost) showWelcome();
  if (search.offset > 0) showDetail(); // the results came before the weights of the levels
}

listen();
begin();
// Not on plain HTTP from another machine, where browsers have no service workers.
navigator.serviceWorker?.register("web/worker.js", { scope: "./" }).catch(() => {});
if (query.empty && matchMedia("(hover: hover)").matches) field.focus({ preventScroll: true });
past.hide();
