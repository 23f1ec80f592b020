// Keeps the page's own files, so that it opens without a line; what the API answers is never kept. Also takes photographs
// that other apps share with the page.

const SHELL = "shell-1";
const SHARED = "shared";
const ours = (path) => path === "/" || path.startsWith("/static/") || path === "/manifest.webmanifest";

addEventListener("install", (event) => {
  event.waitUntil(caches.open(SHELL).then((store) => store.addAll(["/", "/static/main.js", "/static/app.css", "/static/places.css"])).then(() => skipWaiting()));
});
addEventListener("activate", (event) => {
  const old = caches.keys().then((names) => Promise.all(names.filter((name) => name.startsWith("shell-") && name !== SHELL).map((name) => caches.delete(name))));
  event.waitUntil(old.then(() => clients.claim()));
});

addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (origin !== location.origin) return;
  if (request.method === "POST" && pathname === "/share") event.respondWith(taken(request));
  else if (request.method === "GET" && ours(pathname)) event.respondWith(newest(request, pathname));
});

/** The newest that there is: from the server, else as it was kept. */
async function newest(request, path) {
  const store = await caches.open(SHELL);
  try {
    const answer = await fetch(request);
    if (answer.ok) store.put(path, answer.clone());
    return answer;
  } catch (error) {
    const kept = await store.match(path);
    if (kept) return kept;
    throw error;
  }
}

/** A shared photograph waits in the cache until the page takes it. */
async function taken(request) {
  const form = await request.formData();
  const picture = form.get("image");
  const text = form.get("url") || form.get("text") || "";
  if (picture instanceof File) {
    await (await caches.open(SHARED)).put("/shared/picture", new Response(picture, { headers: { "Content-Type": picture.type } }));
    return Response.redirect("/?shared=picture", 303);
  }
  return Response.redirect(`/?${new URLSearchParams(/^https?:\S+$/.test(text) ? { image: text } : { text })}`, 303);
}
