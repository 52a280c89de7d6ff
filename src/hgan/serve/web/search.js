// One search at a time: a new search cancels the previous one, and late responses are dropped.

import { search } from "./api.js";
import { browse } from "./browse.js";

/** Photos in one page. The service uses the same number of candidates for every page of this size. */
export const PAGE = 48;
/** The maximum offset of the service, and that for which it puts near-duplicates together. */
const LAST = 10_000;
const LAST_FOLDED = 1000;

export class Search {
  /** Call `found(result, offset, complete)` with every page, and `failed(problem)`. */
  constructor(found, failed, busy) {
    this.found = found;
    this.failed = failed;
    this.busy = busy;
    this.stop();
  }

  /** Search after a delay, unless another search starts first. */
  start(query, delay = 0) {
    this.stop();
    this.query = query;
    this.timer = setTimeout(() => this.page(0), delay);
  }

  /** Cancel the current search. */
  stop() {
    clearTimeout(this.timer);
    this.asking?.abort();
    this.asking = null;
    this.query = null;
    this.offset = 0;
    this.cursor = null; // of the next page of the timeline
    this.complete = false;
    this.busy(false);
  }

  /** Load the next page, if there is one and it is not being loaded. */
  more() {
    if (this.query && !this.asking && !this.complete && this.offset > 0) this.page(this.offset);
  }

  /** Load the page that failed again. */
  again() {
    if (this.query && !this.asking) this.page(this.offset);
  }

  async page(offset) {
    const asking = new AbortController();
    this.asking = asking;
    this.busy(true);
    try {
      const result = await this.find(offset, asking.signal);
      if (this.asking !== asking) return;
      this.asking = null;
      this.offset = offset + PAGE;
      this.cursor = result.cursor ?? null;
      this.complete = this.query.browses
        ? this.cursor === null
        : result.hits.length < PAGE || this.offset + PAGE > LAST;
      this.busy(false);
      this.found(result, offset, this.complete);
    } catch (problem) {
      if (this.asking !== asking) return; // another search has cancelled this one
      this.asking = null;
      this.busy(false);
      this.failed(problem);
    }
  }
  /**
   * One page of the results. After the last page with near-duplicates put together, each comes by
   * itself: every photo before this place is shown or was put together with one that is.
   */
  find(offset, signal) {
    if (this.query.browses) return browse(this.query, { k: PAGE, cursor: this.cursor }, signal);
    const far = offset + PAGE > LAST_FOLDED;
    const query = far ? this.query.with({ fold: false }) : this.query;
    return search(query, { k: PAGE, offset }, signal);
  }
}
