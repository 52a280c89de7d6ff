// Helpers for elements.

/** The element that matches a selector; throws an error if there is none. */
export function find(selector, within = document) {
  const found = within.querySelector(selector);
  if (!found) throw new Error(`the page has no ${selector}`);
  return found;
}

/**
 * Create an element. An attribute that is true has no value; attributes that are null or false are
 * left out; a function is added as a listener of that event. Text is never parsed as HTML.
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== null && value !== false) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

/** One of the symbols at the top of the page. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** 1 photo, 8,091 photos. */
export function counted(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/** 12 June 2023; of a time without a time zone, as cameras have it. */
export const day = (time) => DAY.format(new Date(time));
const DAY = new Intl.DateTimeFormat("en-GB", { dateStyle: "long" });

/** The last part of a path. */
export const nameOf = (path) => path.slice(path.lastIndexOf("/") + 1);

/** A time in a video: 0:42, or 1:02:03. */
export function clock(moment) {
  const [hours, minutes, seconds] = [moment / 3600, (moment / 60) % 60, moment % 60].map(Math.floor);
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}

/** Whether something in the results is a frame of a video. */
export const isFrame = ({ moment }) => moment !== null && moment !== undefined;

/** The name of a photo, or of a video with the time of a frame in it: clip.mp4 at 0:42. */
export function titleOf(hit) {
  const name = nameOf(hit.path ?? "");
  return isFrame(hit) ? `${name} at ${clock(hit.moment)}` : name;
}

/** The folder of a path; empty at the root. */
export const folderOf = (path) => path.slice(0, Math.max(path.lastIndexOf("/"), 0));
