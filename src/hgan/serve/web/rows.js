// Justified rows: photos in their true proportions, side by side, so that each row is as wide as the
// page. Pure functions; album.js applies them.

/** Proportions of a photo whose size is not known yet. */
export const USUAL = 4 / 3;
/** Limits of width / height: a panorama or a long screenshot is cropped to one of these. */
const NARROWEST = 0.4;
const WIDEST = 4;

/** Space between photos, and the height that rows should have, on a page of this width, in pixels. */
export const gapFor = (width) => (width < 700 ? 3 : 6);
export const heightFor = (width) => Math.round(100 + 0.08 * Math.min(width, 3000));

/** Width / height of a photo, within the limits; `USUAL` if a side is 0 or missing. */
export function ratioOf(width, height) {
  if (!(width > 0 && height > 0)) return USUAL;
  return Math.min(Math.max(width / height, NARROWEST), WIDEST);
}

/**
 * Divide photos into rows.
 *
 * Each row has the number of photos with which its height is closest to `height`. The last one is
 * not stretched: its photos have the wanted height, unless they fill the row.
 *
 * @param ratios width / height of each photo
 * @param width of all rows, a whole number of pixels
 * @param height wanted height of a row
 * @param gap space between photos
 * @returns for each row: `start`, `end` (exclusive), `height`, and the `widths` of its photos, which
 *   fill the row exactly together with the gaps
 */
export function justified(ratios, width, height, gap) {
  const rows = [];
  let start = 0;
  let sum = 0;
  for (let end = 1; end <= ratios.length; end += 1) {
    const before = sum;
    sum += ratios[end - 1];
    const natural = naturalHeight(sum, end - start, width, gap);
    if (natural > height) continue;
    // One photo less may be closer to the wanted height.
    const taller = before > 0 ? naturalHeight(before, end - 1 - start, width, gap) : Infinity;
    const at = taller / height < height / natural ? end - 1 : end;
    rows.push(row(ratios, start, at, width, gap));
    start = at;
    sum = at === end ? 0 : ratios[end - 1];
    if (sum && naturalHeight(sum, 1, width, gap) <= height) {
      rows.push(row(ratios, start, end, width, gap));
      start = end;
      sum = 0;
    }
  }
  if (start < ratios.length) rows.push(row(ratios, start, ratios.length, width, gap, height));
  return rows;
}

/**
 * One row.
 *
 * @param most its maximum height: with this, it does not fill the page
 */
function row(ratios, start, end, width, gap, most = Infinity) {
  const chosen = ratios.slice(start, end);
  const sum = chosen.reduce((one, other) => one + other, 0);
  const natural = naturalHeight(sum, chosen.length, width, gap);
  const height = Math.max(1, Math.round(Math.min(natural, most)));
  const filled = natural <= most ? width - gap * (chosen.length - 1) : Math.round(height * sum);
  return { start, end, height, widths: shared(chosen, filled), full: natural <= most };
}

/** The widths of a row's photos when their proportions are known better; its height is kept. */
export function rebalanced({ start, end, widths }, ratios) {
  const filled = widths.reduce((one, other) => one + other, 0);
  return shared(ratios.slice(start, end), filled);
}

/** Divide a width by proportions, in whole pixels whose sum is exact. */
function shared(ratios, width) {
  const sum = ratios.reduce((one, other) => one + other, 0);
  let before = 0;
  let reached = 0;
  return ratios.map((ratio) => {
    before += ratio;
    const next = Math.round((width * before) / sum);
    const own = next - reached;
    reached = next;
    return own;
  });
}

const naturalHeight = (sum, photos, width, gap) => (width - gap * (photos - 1)) / sum;
