// <consent-bridge-form channel="footer" language="nl">: puts our form with today's words in the place of the one that
// stands inside it. It is a real form in the page itself and is sent as one, so the answer is our own page: no script of
// any site reads it. Where we cannot be reached, or somebody has begun to fill it in, what stands inside stays.
(() => {
  const ours = document.currentScript.src;
  const filled = (field) =>
    field.type === "checkbox" || field.type === "radio"
      ? field.checked
      : field.tagName === "SELECT"
        ? field.selectedIndex > 0
        : field.type !== "hidden" && field.value !== "";

  class ConsentBridgeForm extends HTMLElement {
    connectedCallback() {
      if (this.asked) return;
      this.asked = true;
      this.renew().catch(() => {});
    }

    async renew() {
      const from = new URL(`embed/${encodeURIComponent(this.getAttribute("channel") || "")}`, ours);
      from.searchParams.set("language", this.getAttribute("language") || document.documentElement.lang);
      const answer = await fetch(from, { credentials: "omit", referrerPolicy: "no-referrer" });
      if (!answer.ok) return;
      const form = await answer.text();
      const begun = this.contains(document.activeElement) || [...this.querySelectorAll("input, select")].some(filled);
      if (!begun) this.innerHTML = form;
    }
  }

  if (!customElements.get("consent-bridge-form")) customElements.define("consent-bridge-form", ConsentBridgeForm);
})();
