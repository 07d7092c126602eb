// <consent-bridge-form channel="footer" language="nl">: puts our form with today's words in the place of the one that
// stands inside it. It is a real form in the page itself and is sent as one, so the answer is our own page: no script of
// any site reads it. Where we cannot be reached, or somebody has begun to fill it in, what stands inside stays.
//
// Where the form asks for it (a field `work`), a little is counted from when somebody begins. What she writes goes nowhere
// before she sends it. If that cannot be, the form is sent without: it is taken all the same, less often from one network.
(() => {
  const ours = document.currentScript.src;
  const longest = 10_000; // so many milliseconds a form waits at most for what is counted
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
      this.addEventListener("focusin", () => this.count());
      this.addEventListener("submit", (event) => this.send(event));
      addEventListener("pageshow", (event) => event.persisted && this.rest());
      this.renew().catch(() => {});
    }

    async ask(path, language) {
      const from = new URL(`embed/${encodeURIComponent(this.getAttribute("channel") || "")}${path}`, ours);
      if (language) from.searchParams.set("language", language);
      const answer = await fetch(from, { credentials: "omit", referrerPolicy: "no-referrer" });
      if (!answer.ok) throw new Error(answer.status);
      return answer;
    }

    async renew() {
      const answer = await this.ask("", this.getAttribute("language") || document.documentElement.lang);
      const fresh = document.createElement("template");
      fresh.innerHTML = await answer.text();
      const begun = this.contains(document.activeElement) || [...this.querySelectorAll("input, select")].some(filled);
      if (!begun && fresh.innerHTML.trim() !== this.innerHTML.trim()) this.replaceChildren(fresh.content);
    }

    // A task of ours and what solves it: one for each form that is sent.
    count() {
      if (this.querySelector("[name=work]")) this.work ||= this.solve().catch(() => "");
      return this.work;
    }

    async solve() {
      const { task, bits } = await (await this.ask("/task")).json();
      const { count } = await import(new URL("sign-up.js", ours));
      return count(task, bits);
    }

    async send(event) {
      const form = event.target;
      const field = form.querySelector("[name=work]");
      if (!field || event.defaultPrevented) return;
      event.preventDefault();
      if (this.sending) return;
      this.sending = true;
      this.says(true);
      field.value = await Promise.race([this.count(), new Promise((over) => setTimeout(over, longest, ""))]);
      HTMLFormElement.prototype.submit.call(form);
      setTimeout(() => this.rest(), longest);
    }

    // Whoever comes back, or stopped what was on its way, can send it anew.
    rest() {
      this.sending = false;
      this.work = undefined;
      this.says(false);
    }

    says(waits) {
      for (const line of this.querySelectorAll("[data-wait]")) line.textContent = waits ? line.dataset.wait : "";
      for (const button of this.querySelectorAll("button")) button.ariaDisabled = waits ? "true" : null;
    }
  }

  if (!customElements.get("consent-bridge-form")) customElements.define("consent-bridge-form", ConsentBridgeForm);
})();
