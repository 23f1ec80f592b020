// Takes what was chosen on a page and hands it to the side panel: a task in the session's storage.

import { chrome, openPanel } from "./browser.js";

const PICTURE = "picture";
const PART = "part";
const KEEP = "keep";
const LARGEST = 6_000_000; // characters of a picture in the session's storage, which holds 10 MB

chrome.runtime.onInstalled.addListener(() => {
  chrome.contextMenus.create({ id: PICTURE, title: "Find look-alikes", contexts: ["image"] });
  chrome.contextMenus.create({ id: KEEP, title: "Save to a board", contexts: ["image"] });
  chrome.contextMenus.create({ id: PART, title: "Search a part of this page", contexts: ["page", "link", "selection", "video"] });
});

// The panel may only be opened while the click is being handled, so that comes first.
chrome.contextMenus.onClicked.addListener((info, tab) => {
  openPanel(tab);
  if (info.menuItemId === PART) select(tab);
  else picture(info, tab, info.menuItemId === KEEP);
});

chrome.action.onClicked.addListener((tab) => {
  openPanel(tab);
  select(tab);
});

chrome.runtime.onMessage.addListener((message, sender) => {
  if (message.kind === "selected") part(message, sender.tab);
  if (message.kind === "select") chrome.tabs.query({ active: true, lastFocusedWindow: true }).then(([tab]) => select(tab));
});

const post = (task) => chrome.storage.session.set({ task: { ...task, at: Date.now() } });

/**
 * A picture that was clicked: its bytes as the page sees them, else its address for the server to fetch. `keep`: it is to be
 * saved to a board, together with what its page says of itself.
 */
export async function picture({ srcUrl, frameId }, tab, keep = false) {
  await post({ kind: "waiting" });
  let data = null;
  try {
    const [{ result }] = await chrome.scripting.executeScript({
      target: { tabId: tab.id, frameIds: [frameId ?? 0] },
      func: bytesOf,
      args: [srcUrl, LARGEST],
    });
    data = result;
  } catch { /* a page that may not be read: the address has to do */ }
  const from = { keep, page: tab.url, title: tab.title };
  if (data) await post({ kind: "data", data, ...from });
  else if (/^https?:/.test(srcUrl)) await post({ kind: "address", address: srcUrl, ...from });
  else await post({ kind: "failed", why: "This picture cannot be read from its page. Drag a rectangle over it instead." });
}

/** Runs in the page: a picture as a data: address, null where the page may not read it. */
async function bytesOf(address, largest) {
  try {
    const blob = await (await fetch(address)).blob();
    if (!blob.type.startsWith("image/") || blob.size * 1.4 > largest) return null;
    return await new Promise((done) => {
      const reader = new FileReader();
      reader.onload = () => done(reader.result);
      reader.onerror = () => done(null);
      reader.readAsDataURL(blob);
    });
  } catch {
    return null;
  }
}

/** Let the visitor drag a rectangle over the page. */
export async function select(tab) {
  try {
    await chrome.scripting.executeScript({ target: { tabId: tab.id }, files: ["select.js"] });
  } catch {
    await post({ kind: "failed", why: "This page cannot be searched. Open another page, press the button in the toolbar there, and drag a rectangle." });
  }
}

/** The part of the page in a rectangle (CSS pixels), as a picture. */
export async function part({ rectangle, ratio }, tab) {
  await post({ kind: "waiting" });
  try {
    const shot = await chrome.tabs.captureVisibleTab(tab.windowId, { format: "png" });
    const [x, y, width, height] = rectangle.map((number) => Math.round(number * ratio));
    const bitmap = await createImageBitmap(await (await fetch(shot)).blob(), x, y, width, height);
    const canvas = new OffscreenCanvas(width, height);
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
    const bytes = new Uint8Array(await blob.arrayBuffer());
    let text = "";
    for (let at = 0; at < bytes.length; at += 32_768) text += String.fromCharCode(...bytes.subarray(at, at + 32_768));
    await post({ kind: "data", data: `data:image/jpeg;base64,${btoa(text)}` });
  } catch (error) {
    await post({ kind: "failed", why: `The page could not be captured: ${error.message}` });
  }
}

Object.assign(self, { picture, select, part });
