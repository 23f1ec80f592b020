// What differs between Chromium and Firefox. In Firefox `browser` gives promises, and the side panel is a sidebar.

export const chrome = globalThis.browser ?? globalThis.chrome;

/** Open the panel; only while a click is being handled. */
export function openPanel(tab) {
  const { sidePanel } = chrome;
  if (sidePanel) sidePanel.open({ windowId: tab.windowId });
  else chrome.sidebarAction.open();
}
