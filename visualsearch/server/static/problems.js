// What the server says went wrong, in the visitor's language: by the problem's kind, which is stable. The details that the server
// adds are in English; they follow where the kind alone does not say what to do.

import { spoken, t } from "/static/words.js";

const TITLES = {
  "bad-request": "The request cannot be understood",
  "bad-filter": "The filter cannot be used",
  "slow-filter": "The filter takes too long",
  "bad-picture": "The picture cannot be read",
  "key-needed": "An API key is needed",
  "key-expired": "The API key has expired",
  forbidden: "Not allowed",
  "not-found": "There is no such thing",
  "upload-gone": "This picture is no longer kept",
  "no-picture": "The pin’s picture cannot be read",
  "method-not-allowed": "The request cannot be understood",
  exists: "It exists already",
  locked: "Another process is writing to the index. Try again in a moment.",
  "too-large": "That is too large",
  "too-slow": "Sending it took too long",
  "unsupported-media-type": "That is not a picture",
  busy: "Many people are searching right now",
  "rate-limited": "That was a little fast",
  "no-room": "The server has no room to keep that",
  "not-ready": "The server is not ready yet. Try again in a moment.",
  "people-unreachable": "What people keep cannot be reached now. Try again in a moment.",
  "person-needed": "The request names no person",
  "no-consent": "Your own settings under “Me” do not allow it",
  "bad-cursor": "This list has changed. Start it anew.",
  internal: "The server failed",
  offline: "The server does not answer",
};
const DETAILED = new Set(["bad-request", "bad-filter", "bad-picture", "exists", "too-large"]);

/** A problem of the server in a sentence; null where English has the server's own words. */
export function translated({ kind, detail }) {
  if (spoken() === "en" || !TITLES[kind]) return null;
  const title = t(TITLES[kind]);
  return DETAILED.has(kind) && detail ? `${title} (${detail})` : title;
}
