// The user's own photo to search with: chosen, dropped or pasted.

import { find } from "./dom.js";

/** Length in pixels of the longer side of the uploaded photo; the model needs fewer pixels. */
const LONGEST = 1024;
const uploads = new Map();

export class UploadedPhoto {
  constructor(file) {
    this.number = String(uploads.size + 1);
    this.name = file.name || "photo";
    this.preview = URL.createObjectURL(file);
    this.file = file;
    this.sent = null;
    uploads.set(this.number, this);
  }

  /** The file to upload, resized once if the browser can. */
  upload() {
    this.sent ??= smaller(this.file);
    return this.sent;
  }
}

/** The photo with this number in the address; null after the page was reloaded. */
export const recall = (number) => uploads.get(number) ?? null;

async function smaller(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return file; // the service reads more formats than browsers, and reports those it cannot read
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

/** Call `take` with every photo that is chosen, dropped or pasted. */
export function listen(take) {
  const first = (files) => {
    if (files?.length) take(new UploadedPhoto(files[0]));
  };
  const file = find("input.file");
  find("button.pick").addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    first(file.files);
    file.value = ""; // the same file can be picked again
  });

  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0) return; // text for the search field
    event.preventDefault();
    first(files);
  });

  const drop = find(".drop");
  let inside = 0; // number of nested elements that the photo has been dragged into
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
