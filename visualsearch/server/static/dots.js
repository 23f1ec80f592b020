// Objects in the query's picture, as dots to press.

import * as api from "/static/api.js";
import { app } from "/static/app.js";
import { $ } from "/static/dom.js";
import { stage } from "/static/query.js";
import { t } from "/static/words.js";

const looked = new Map(); // image -> objects

/** The objects in a picture, looked for once. */
export async function objectsOf(image, signal) {
  if (!looked.has(image)) {
    const found = await api.look({ image, k: 6 }, signal);
    looked.set(image, found.found ? found.objects : []);
  }
  return looked.get(image);
}

/**
 * Find the objects in the query's picture, once the results are there. A visitor's picture is often a scene and is
 * looked at unasked; a stored pin mostly shows one thing, and is looked at when that is `wished`.
 */
export async function dots(signal, wished = false) {
  const { search, shown } = app;
  const pin = search.image?.startsWith("pin:") ? search.image : search.like[0] ? `pin:${search.like[0]}` : null;
  const image = api.isAddress(search.image ?? "") ? `upload:${shown.upload}` : search.image ?? pin;
  if (!image) {
    $("hint").hidden = true;
    return;
  }
  if (image === pin && !wished && !looked.has(image)) {
    hint(t("Drag a box on the picture to search a part."));
    return;
  }
  try {
    const objects = await objectsOf(image, signal);
    if (signal.aborted) return;
    stage.mark(objects);
    hint(objects.length ? t("Press a dot, or drag a box, to search a part.") : wished ? t("No objects were found; drag a box to search a part.") : t("Drag a box on the picture to search a part."));
  } catch (error) {
    if (error.name !== "AbortError") hint(t("Objects were not looked for: {why}", { why: error.detail ?? error.message })); // the results stand without dots
  }
}

function hint(text) {
  $("hint").hidden = false;
  $("hint").textContent = text;
}
