// A save button for any site: <script src="https://HOST/save.js" async></script>. It asks nothing, sends nothing and keeps
// nothing before it is pressed; then it opens the server's own page with the picture's address. No inline style or script,
// so it works under a strict Content-Security-Policy that names this server in script-src.

(() => {
  const script = document.currentScript;
  const { origin } = new URL(script.src);
  const SMALLEST = 120; // pixels of a picture that gets a button
  const label = script.dataset.label || "Save";

  /** What the page says of itself as a product: JSON-LD, else Open Graph. */
  function product() {
    for (const { textContent } of document.querySelectorAll('script[type="application/ld+json"]')) {
      try {
        const found = [JSON.parse(textContent)].flat().flatMap((one) => one["@graph"] ?? one).find((one) => [one["@type"]].flat().includes("Product"));
        if (found) return { title: found.name, image: [found.image].flat().map((one) => one?.url ?? one)[0] };
      } catch { /* not ours to mend */ }
    }
    const said = (name) => document.querySelector(`meta[property="og:${name}"]`)?.content;
    return { title: said("title"), image: said("image") };
  }

  function open(image, title) {
    const words = new URLSearchParams({ at: "keep", from: "site", image: new URL(image, location.href).href, page: location.href, title: title || document.title });
    window.open(`${origin}/?${words}`, "_blank", "noopener,width=900,height=760");
  }

  function button(act) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = label;
    made.className = "visualsearch-save"; // a shop styles it as it likes
    Object.assign(made.style, { font: "600 14px/1 system-ui, sans-serif", padding: "9px 16px", border: "0", borderRadius: "18px", background: "#c91f48", color: "#fff", cursor: "pointer" });
    made.addEventListener("click", act);
    return made;
  }

  function begin() {
    const places = document.querySelectorAll("[data-visualsearch-save]");
    for (const place of places) {
      const picture = place.matches("img") ? place : place.querySelector("img");
      const act = () => open(place.dataset.visualsearchSave || picture?.currentSrc || product().image, place.dataset.title || picture?.alt);
      if (place.matches("img")) place.after(button(act)); else place.append(button(act));
    }
    if (places.length) return;
    const { image, title } = product();
    const largest = [...document.images].filter((one) => one.width >= SMALLEST && one.height >= SMALLEST).sort((a, b) => b.width * b.height - a.width * a.height)[0];
    const address = image ?? largest?.currentSrc;
    if (!address) return;
    const floating = button(() => open(address, title));
    Object.assign(floating.style, { position: "fixed", insetInlineEnd: "18px", bottom: "18px", zIndex: "2147483000", boxShadow: "0 4px 18px rgb(0 0 0 / .25)" });
    document.body.append(floating);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin); else begin();
})();
