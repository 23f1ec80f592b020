// The page as an app: its files are kept for when there is no line, and photographs are shared with it.

/** The photograph that another app shared, once; null without one. */
export async function shared() {
  if (!new URLSearchParams(location.search).has("shared") || !("caches" in globalThis)) return null;
  const store = await caches.open("shared");
  const found = await store.match("/shared/picture");
  if (!found) return null;
  await store.delete("/shared/picture");
  return found.blob();
}

/** Keep the files, once the page has nothing else to do. */
export function keepFiles() {
  if (!("serviceWorker" in navigator)) return;
  const register = () => navigator.serviceWorker.register("/sw.js").catch(() => {}); // forbidden: the page works without
  if ("requestIdleCallback" in globalThis) requestIdleCallback(register, { timeout: 4000 });
  else setTimeout(register, 1500);
}
