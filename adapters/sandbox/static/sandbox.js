// Keeps the page fresh and lets buttons work without losing the reader's place. Everything works without it too.
"use strict";

const live = () => document.querySelectorAll("[data-live]");

// The same button or link after its surroundings were renewed.
function again(part, held) {
  const label = held.closest("form")?.getAttribute("aria-label");
  const same = [...part.querySelectorAll(held.tagName)].filter((one) => one.textContent === held.textContent);
  return same.find((one) => one.closest("form")?.getAttribute("aria-label") === label) ?? same[0];
}

// The result of a button stays until the next one; the rest is renewed, except where somebody is just choosing.
function renew(text, all) {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  for (const part of live()) {
    const other = fresh.getElementById(part.id);
    if (!other || (!all && part.id === "said")) continue;
    const open = [...part.querySelectorAll("details[open][id]")].map((one) => one.id);
    for (const id of open) other.querySelector("#" + id)?.setAttribute("open", "");
    if (part.innerHTML === other.innerHTML) continue;
    const held = part.contains(document.activeElement) ? document.activeElement : null;
    if (!all && held?.matches("select")) continue;
    const scroll = part.querySelector(".people")?.scrollTop ?? 0;
    part.innerHTML = other.innerHTML;
    const people = part.querySelector(".people");
    if (people) people.scrollTop = scroll;
    if (held) again(part, held)?.focus({ preventScroll: true });
  }
}

async function look() {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.pathname);
    if (answer.ok) renew(await answer.text(), false);
  } catch { /* the sandbox is being started again: the next look will do */ }
}

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { target: form, submitter } = event;
  submitter?.setAttribute("aria-busy", "true");
  const fields = new URLSearchParams(new FormData(form, submitter));
  try {
    const answer = await fetch(form.action, { method: "POST", body: fields });
    renew(await answer.text(), true);
    document.getElementById("said").scrollIntoView({ block: "nearest" });
  } finally {
    submitter?.removeAttribute("aria-busy");
  }
});

if (document.querySelector("[data-live]:not(#said)")) setInterval(look, 2000);
