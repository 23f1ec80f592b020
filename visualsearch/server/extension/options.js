// What the extension remembers: a key for the server, and whether only products are shown.

import { chrome } from "./browser.js";
import { SERVER } from "./config.js";

const $ = (id) => document.getElementById(id);

const kept = await chrome.storage.local.get(["key", "products"]);
$("server").href = SERVER;
$("server").textContent = SERVER;
$("key").value = kept.key ?? "";
$("products").checked = Boolean(kept.products);
$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  await chrome.storage.local.set({ key: $("key").value, products: $("products").checked });
  $("status").textContent = "Kept.";
});
