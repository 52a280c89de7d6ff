// The heat map of a word over a photo, as in `hgan explain --out`.

// Matplotlib's Inferno colour map (public domain) without its ends; its lightness rises evenly.
const COLOURS = [
  [66, 10, 104],
  [106, 23, 110],
  [147, 38, 103],
  [188, 55, 84],
  [221, 81, 58],
  [243, 120, 25],
  [252, 165, 10],
  [246, 215, 70],
];
/** Standard deviation of a region's Gaussian, relative to the size of the region. */
const SPREAD = 0.42;
/** Exponent of the opacity: below 1, so that low values are visible too. */
const FADE = 0.7;
const WIDTH = 96; // of the canvas in pixels; the browser scales it to the photo

/**
 * Interpolate the values of regions to a smooth field. There is no heat outside of the rectangle
 * around all regions, which a model that crops photos does not see.
 *
 * @param values one for each region, in 0..1
 * @param boxes x0 y0 x1 y1 of each, in 0..1
 * @returns width * height values in 0..1, row by row
 */
export function field(values, boxes, width, height) {
  const near = (axis, length) => {
    const least = Math.min(...boxes.map((box) => box[axis]));
    const most = Math.max(...boxes.map((box) => box[axis + 2]));
    return Array.from({ length }, (_, step) => {
      const point = (step + 0.5) / length;
      return boxes.map((box) => {
        if (point < least || point > most) return 0;
        const size = Math.max(SPREAD * (box[axis + 2] - box[axis]), 1e-3);
        const apart = (point - (box[axis] + box[axis + 2]) / 2) / size;
        return Math.exp(-0.5 * apart * apart);
      });
    });
  };
  const across = near(0, width);
  const down = near(1, height);
  const heat = new Float32Array(width * height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      let sum = 0;
      let weights = 0;
      for (let region = 0; region < values.length; region += 1) {
        const weight = down[y][region] * across[x][region];
        sum += weight * values[region];
        weights += weight;
      }
      heat[y * width + x] = sum / Math.max(weights, 1e-300);
    }
  }
  return heat;
}

/** Draw values in 0..1 on the canvas over the photo; `ratio` is width / height of the photo. */
export function draw(canvas, values, boxes, ratio) {
  canvas.width = WIDTH;
  canvas.height = Math.max(1, Math.round(WIDTH / ratio));
  const heat = field(values, boxes, canvas.width, canvas.height);
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  heat.forEach((value, pixel) => {
    const place = Math.min(Math.max(value, 0), 1) * (COLOURS.length - 1);
    const low = Math.min(Math.floor(place), COLOURS.length - 2);
    for (let channel = 0; channel < 3; channel += 1) {
      const [from, to] = [COLOURS[low][channel], COLOURS[low + 1][channel]];
      image.data[4 * pixel + channel] = from + (place - low) * (to - from);
    }
    image.data[4 * pixel + 3] = 255 * Math.max(value, 0) ** FADE;
  });
  context.putImageData(image, 0, 0);
}
