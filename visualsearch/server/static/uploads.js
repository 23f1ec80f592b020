// Pictures that this browser searched by. The server forgets them after a while; from here they are sent again, so that
// back, reload and a bookmark go on working.

import * as api from "/static/api.js";

const STORE = "uploads";
const MOST = 20;
const PREFIX = "/uploaded/";

export const recall = {
  /** Keep a picture under the server's name for it; what is oldest goes. */
  async keep(name, blob) {
    if (!name || !("caches" in globalThis)) return;
    try {
      const store = await caches.open(STORE);
      await store.put(PREFIX + name, new Response(blob, { headers: { "Content-Type": blob.type || "application/octet-stream" } }));
      const kept = await store.keys();
      await Promise.all(kept.slice(0, Math.max(0, kept.length - MOST)).map((old) => store.delete(old)));
    } catch { /* no room, or none allowed: the link lasts as long as the server keeps the picture */ }
  },

  /** `ask()`, and once more where the server has forgotten pictures of the query that are still here. */
  async again(images, ask) {
    try {
      return await ask();
    } catch (error) {
      if (error.kind !== "upload-gone" || !("caches" in globalThis)) throw error;
      const store = await caches.open(STORE);
      const names = images.filter((image) => image?.startsWith("upload:")).map((image) => image.slice(7));
      const found = (await Promise.all(names.map((name) => store.match(PREFIX + name)))).filter(Boolean);
      if (!found.length) throw error;
      for (const one of found) await api.upload(await one.blob());
      return ask();
    }
  },
};
