// A photo of one's own to search with: picked, dropped or pasted.

import { find } from "./dom.js";

/** Pixels of the longer side that are sent; the model looks at fewer. */
const LONGEST = 1024;
const kept = new Map();

export class GivenPhoto {
  constructor(file) {
    this.number = String(kept.size + 1);
    this.name = file.name || "photo";
    this.preview = URL.createObjectURL(file);
    this.file = file;
    this.sent = null;
    kept.set(this.number, this);
  }

  /** What is sent: made smaller where the browser can, once. */
  upload() {
    this.sent ??= smaller(this.file);
    return this.sent;
  }
}

/** The photo that an address of this page names; null after the page was loaded anew. */
export const recall = (number) => kept.get(number) ?? null;

async function smaller(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return file; // the service reads more than browsers do, and says what it cannot read
  }
  const scale = LONGEST / Math.max(bitmap.width, bitmap.height);
  if (scale >= 1) return file;
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Promise((done) => {
    canvas.toBlob((blob) => done(blob ?? file), "image/jpeg", 0.92);
  });
}

/** Call with every photo that is picked, dropped or pasted. */
export function listen(take) {
  const first = (files) => {
    if (files?.length) take(new GivenPhoto(files[0]));
  };
  const file = find("input.file");
  find("button.pick").addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    first(file.files);
    file.value = ""; // the same file can be picked again
  });

  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0) return; // text, which goes into the field
    event.preventDefault();
    first(files);
  });

  const drop = find(".drop");
  let inside = 0; // elements that the photo is over
  const carries = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const show = () => {
    drop.hidden = inside <= 0;
  };
  document.addEventListener("dragenter", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    inside += 1;
    show();
  });
  document.addEventListener("dragover", (event) => {
    if (carries(event)) event.preventDefault();
  });
  document.addEventListener("dragleave", (event) => {
    if (!carries(event)) return;
    inside -= 1;
    show();
  });
  document.addEventListener("drop", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    inside = 0;
    show();
    first(event.dataTransfer.files);
  });
}
