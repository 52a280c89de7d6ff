// The player of a video, over the picture of its frame: the picture is seen until the video is
// there, and stays if the browser cannot play it.

import { address, bytes, key, videoPath } from "./api.js";

/** Bytes of a video that is loaded as a whole, which a key makes necessary: players cannot send one. */
export const MOST = 100e6;

export class Player {
  /** Use a <video> element. */
  constructor(video) {
    this.video = video;
    this.blob = null;
    this.moment = 0;
    video.addEventListener("loadedmetadata", () => this.begin());
    video.addEventListener("error", () => (video.hidden = true));
  }

  /**
   * Load the video of a frame, to be played from its time.
   *
   * @param known the item of the service
   * @param name its name, for screen readers
   * @returns the address of the file; null if it is too large to be loaded with a key
   */
  async open(known, name, signal) {
    this.close();
    const path = videoPath(known.id);
    let url = address(path);
    if (key.get()) {
      if (known.bytes > MOST) return null;
      const blob = await bytes(path, signal);
      signal.throwIfAborted();
      url = this.blob = URL.createObjectURL(blob);
    }
    this.moment = known.moment;
    this.video.setAttribute("aria-label", name);
    this.video.src = url;
    return url;
  }

  /** Show the video at the time of the frame; not if the browser plays its sound only. */
  begin() {
    if (!this.video.videoWidth) return;
    this.video.currentTime = this.moment;
    this.video.hidden = false;
  }

  /** Stop, because the picture is shown. */
  pause() {
    this.video.pause();
  }

  close() {
    this.video.hidden = true;
    this.video.pause();
    this.video.removeAttribute("src");
    this.video.load(); // otherwise the browser would go on loading it
    if (this.blob) URL.revokeObjectURL(this.blob);
    this.blob = null;
  }
}
