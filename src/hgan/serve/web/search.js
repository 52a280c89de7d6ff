// One search at a time: a newer one ends the one before, and no late answer is ever shown.

import { search } from "./api.js";

/** Photos a page. The service looks at as many candidates for each page of this size. */
export const PAGE = 48;
/** How far the service goes; folding looks at all hits from the first on, and ends sooner. */
const LAST = 10_000;
const LAST_FOLDED = 1000;

export class Search {
  /** Call `found(hits, offset, complete)` with every page, and `failed(problem)`. */
  constructor(found, failed, busy) {
    this.found = found;
    this.failed = failed;
    this.busy = busy;
    this.stop();
  }

  /** Search after a moment, unless another search comes before that. */
  start(query, delay = 0) {
    this.stop();
    this.query = query;
    this.timer = setTimeout(() => this.page(0), delay);
  }

  /** Whatever is under way is not wanted any more. */
  stop() {
    clearTimeout(this.timer);
    this.asking?.abort();
    this.asking = null;
    this.query = null;
    this.offset = 0;
    this.complete = false;
    this.busy(false);
  }

  /** The next page, if there is one and nobody waits for it already. */
  more() {
    if (this.query && !this.asking && !this.complete && this.offset > 0) this.page(this.offset);
  }

  /** The page that failed, once more. */
  again() {
    if (this.query && !this.asking) this.page(this.offset);
  }

  async page(offset) {
    const asking = new AbortController();
    this.asking = asking;
    this.busy(true);
    try {
      const hits = await search(this.query, { k: PAGE, offset }, asking.signal);
      if (this.asking !== asking) return;
      this.asking = null;
      this.offset = offset + PAGE;
      const last = this.query.fold ? LAST_FOLDED : LAST;
      this.complete = hits.length < PAGE || this.offset + PAGE > last;
      this.busy(false);
      this.found(hits, offset, this.complete);
    } catch (problem) {
      if (this.asking !== asking) return; // another search ended this one
      this.asking = null;
      this.busy(false);
      this.failed(problem);
    }
  }
}
