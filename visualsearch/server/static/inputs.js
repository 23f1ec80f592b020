// Ways to ask: words, a file, a drop, a paste, the camera.

import * as api from "/static/api.js";
import { app, on } from "/static/app.js";
import { $ } from "/static/dom.js";
import { toast, told } from "/static/says.js";
import { addPictures, fail, go, searchFile } from "/static/search.js";
import { asks, empty, spoken } from "/static/state.js";
import { recall } from "/static/uploads.js";
import { t } from "/static/words.js";

const LONGEST = 2400; // pixels of a picture that was made smaller
const MOST = 8; // pictures of one query

/** Search by a picture file. */
async function take(picture) {
  if (!picture) return;
  if (!picture.type.startsWith("image/") && picture.type) {
    fail(new api.Problem("bad-picture", t("That is not a picture"), t("Drop a JPEG, PNG, WebP, HEIC or another picture file.")));
    return;
  }
  await searchFile(await fitting(picture));
}

/** Search by several pictures at once, or `more` beside what is asked. One that cannot be read costs no other. */
async function takeAll(files, more = false) {
  const pictures = files.filter((one) => one.type.startsWith("image/") || !one.type);
  if (pictures.length < 2 && !more) { await take(files[0]); return; }
  $("results").setAttribute("aria-busy", "true");
  const found = await Promise.allSettled(pictures.slice(0, MOST).map(async (picture) => {
    const blob = await fitting(picture);
    const { upload } = await api.upload(blob);
    await recall.keep(upload, blob);
    return upload;
  }));
  const names = found.filter((one) => one.status === "fulfilled").map((one) => one.value);
  const bad = found.findIndex((one) => one.status === "rejected");
  if (names.length) await addPictures(names, !more);
  else $("results").setAttribute("aria-busy", "false");
  if (bad >= 0) toast(`${pictures[bad].name}: ${told(found[bad].reason)}`);
  else if (pictures.length > MOST) toast(t("The first {n} pictures are searched by.", { n: MOST }));
}

/** The file itself, or a smaller copy where the server would refuse it. */
async function fitting(picture) {
  if (picture.size <= app.server.limits.body_bytes) return picture;
  try {
    const bitmap = await createImageBitmap(picture);
    const scale = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
    const canvas = new OffscreenCanvas(Math.round(bitmap.width * scale), Math.round(bitmap.height * scale));
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
  } catch {
    return picture; // the server says what is wrong with it
  }
}

/** Words beside the picture or the pin: "like this, but red". "+" begins more words, "-" words to keep away from. */
function ask(text) {
  const words = text.trim();
  if (!words) return null;
  const elsewhere = app.route.name !== "search";
  if (api.isAddress(words)) {
    $("words").value = "";
    return go((next) => Object.assign(next, empty(), { image: words, chosen: next.chosen, ranges: next.ranges }), { top: true });
  }
  if (!app.server.text) {
    fail(new api.Problem("bad-request", t("This index does not understand words"),
      t("Its model, {model}, knows pictures only. Drop or choose a picture, paste a picture’s address, or start from a pin.", { model: app.server.encoder })));
    return null;
  }
  return go((next) => Object.assign(next, elsewhere ? empty() : {}, spoken(words)), { top: true });
}

/** The pin that one of our own addresses names. */
function pinOf(address) {
  try {
    const url = new URL(address, location.href);
    return url.origin === location.origin ? url.searchParams.get("pin") : null;
  } catch { return null; }
}

let over = 0;
const holdsPicture = (event) => [...(event.dataTransfer?.types ?? [])].some((type) => ["Files", "text/uri-list"].includes(type));

function dropped(event) {
  over = 0;
  $("drop").classList.remove("on");
  if (!holdsPicture(event)) return;
  event.preventDefault();
  const files = [...event.dataTransfer.files];
  const address = event.dataTransfer.getData("text/uri-list").split("\n")[0];
  const pin = address && pinOf(address);
  if (pin) go((next) => { if (!next.like.includes(pin)) next.like.push(pin); }); // a result dragged into the query
  else if (files.length && app.taking) app.taking(files);
  else if (files.length) takeAll(files);
  else if (api.isAddress(address)) ask(address);
}

function pasted(event) {
  const picture = [...event.clipboardData.items].find((item) => item.type.startsWith("image/"))?.getAsFile();
  const text = event.clipboardData.getData("text/plain");
  const elsewhere = event.target.closest?.("dialog, #place");
  if (picture) { event.preventDefault(); take(picture); }
  else if (api.isAddress(text) && !elsewhere) { event.preventDefault(); ask(text); }
}

/** Listen to all of them. */
export function listen() {
  let more = false; // the next picture stands beside what is asked
  $("ask").addEventListener("submit", async (event) => {
    event.preventDefault();
    const found = ask($("words").value);
    if (!found) return;
    await found;
    if (document.activeElement === $("words")) $("results").focus({ preventScroll: true }); // the next Tab is the first result
  });
  $("words").addEventListener("search", () => {
    const { text, not_text: not } = app.search;
    if (!$("words").value && (text.length || not.length)) go((next) => { next.text = []; next.not_text = []; });
  });
  for (const [button, input] of [["choose", "file"], ["hero-choose", "file"], ["snap", "photo"]]) $(button).addEventListener("click", () => { more = false; $(input).click(); });
  on("picture wished", () => { more = true; $("file").click(); });
  $("file").addEventListener("cancel", () => { more = false; });
  for (const input of ["file", "photo"]) {
    $(input).addEventListener("change", (event) => {
      const files = [...event.target.files];
      event.target.value = ""; // the same file again is a change, too
      const beside = more && app.route.name === "search" && (asks(app.search) || app.file);
      more = false;
      if (files.length) takeAll(files, beside);
    });
  }
  $("sort").addEventListener("change", () => go((next) => { next.sort = $("sort").value || null; }));
  addEventListener("dragenter", (event) => { if (holdsPicture(event)) { over += 1; $("drop").querySelector("p").textContent = app.taking ? t("Drop pictures to add them as pins") : t("Drop it to find its look-alikes"); $("drop").classList.add("on"); } });
  addEventListener("dragleave", () => { over = Math.max(0, over - 1); if (!over) $("drop").classList.remove("on"); });
  addEventListener("dragend", () => { over = 0; $("drop").classList.remove("on"); });
  addEventListener("dragover", (event) => { if (holdsPicture(event)) event.preventDefault(); });
  addEventListener("drop", dropped);
  addEventListener("paste", pasted);
  addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) { event.preventDefault(); $("words").focus(); }
  });
}

export { take };
