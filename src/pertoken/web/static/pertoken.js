// What pages cannot do by links and forms alone. No page needs it to be read.
"use strict";

const find = () => document.getElementById("find");

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if ((event.key === "/" && !typing) || (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey))) {
    event.preventDefault();
    find()?.focus();
    find()?.select();
  }
  if (event.key === "Escape") {
    for (const open of document.querySelectorAll("details.picker[open]")) open.open = false;
    close(document.getElementById("side"));
    const found = document.getElementById("found");
    if (found) found.replaceChildren();
  }
  if ((event.key === "ArrowDown" || event.key === "ArrowUp") && event.target.closest(".find")) {
    const links = [...document.querySelectorAll("#found a")];
    if (!links.length) return;
    event.preventDefault();
    const at = links.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
    (links[at] ?? find()).focus();
  }
});

function close(side) {
  side?.classList.remove("open");
  document.querySelector("[data-opens=side]")?.setAttribute("aria-expanded", "false");
}

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) {
    const opened = document.getElementById(opener.dataset.opens).classList.toggle("open");
    opener.setAttribute("aria-expanded", String(opened));
  } else if (!event.target.closest("#side")) close(document.getElementById("side"));
  for (const open of document.querySelectorAll("details.picker[open]")) {
    if (!open.contains(event.target)) open.open = false;
  }
  if (!event.target.closest(".find")) document.getElementById("found")?.replaceChildren();
  const copier = event.target.closest("[data-copies], [data-copies-curl]");
  if (copier) copy(copier);
});

/** A sheet that would stand out of the page on the right opens to the left. */
document.addEventListener("toggle", (event) => {
  const sheet = event.target.matches?.("details.picker[open]") && event.target.querySelector(".sheet");
  if (!sheet) return;
  sheet.classList.remove("turned");
  sheet.classList.toggle("turned", sheet.getBoundingClientRect().right > document.documentElement.clientWidth - 8);
}, true);

async function copy(button) {
  const path = button.dataset.copiesCurl;
  const text = path ? `curl -H "Authorization: Bearer $PERTOKEN_ADMIN_KEY" '${location.origin}${path}'` : button.dataset.copies;
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "The browser refused; select and copy";
  }
  setTimeout(() => { button.textContent = before; }, 1500);
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("[data-columns]")) {
    const chosen = [...form.querySelectorAll("[type=checkbox]:checked")].map((box) => box.value);
    form.elements.columns.value = chosen.join(",");
  }
  if (form.method === "get") {
    for (const field of form.querySelectorAll("input")) if (!field.value) field.disabled = true;
  } else if (form.dataset.sent) {
    event.preventDefault();
  } else {
    form.dataset.sent = "yes";
  }
});
// What was previewed is what is set: after a change of the form, there is nothing to set until the next preview.
document.addEventListener("input", (event) => {
  if (!event.target.closest("[data-previews]")) return;
  for (const old of document.querySelectorAll("[data-previewed]")) old.remove();
});
window.addEventListener("pageshow", () => {
  for (const form of document.forms) {
    delete form.dataset.sent;
    for (const field of form.querySelectorAll("input:disabled")) field.disabled = false;
  }
});
