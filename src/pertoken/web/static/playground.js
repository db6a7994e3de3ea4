// The playground: the browser calls the gateway itself, so that the virtual key goes nowhere else.
"use strict";

const part = (name) => document.getElementById(`p-${name}`);
const form = document.getElementById("playground");
let running = null;

form.addEventListener("submit", (event) => {
  event.preventDefault();
  delete form.dataset.sent;
  if (!running) call();
});
part("stop").addEventListener("click", () => running?.abort());
part("key").addEventListener("change", listModels);

function asked(path, more = {}) {
  const headers = { authorization: `Bearer ${part("key").value.trim()}`, "content-type": "application/json" };
  return fetch(path, { headers, credentials: "omit", cache: "no-store", ...more }); // no cookie of these pages
}

async function listModels() {
  try {
    const answer = await asked("/v1/models");
    if (!answer.ok) return;
    const options = (await answer.json()).data.map((one) => {
      const option = document.createElement("option");
      option.value = one.id;
      return option;
    });
    document.getElementById("models").replaceChildren(...options);
  } catch { /* the models of the range stay listed */ }
}

async function call() {
  running = new AbortController();
  begin();
  let id = null;
  try {
    const body = {
      model: part("model").value.trim(),
      messages: [{ role: "user", content: part("prompt").value }],
      stream: part("stream").checked,
      max_tokens: Number(part("max").value) || undefined,
    };
    const answer = await asked("/v1/chat/completions", { method: "POST", body: JSON.stringify(body), signal: running.signal });
    id = answer.headers.get("x-pertoken-call-id");
    tell(answer.headers);
    if (!answer.ok) refuse(answer, await answer.text());
    else if ((answer.headers.get("content-type") ?? "").includes("event-stream")) await follow(answer.body);
    else whole(await answer.json());
  } catch (error) {
    state(error.name === "AbortError" ? "Stopped: what was answered so far is charged." : `The gateway did not answer: ${error.message}`, true);
  }
  running = null;
  part("send").disabled = false;
  part("stop").hidden = true;
  if (id) await settle(id);
}

function begin() {
  part("answer").replaceChildren();
  for (const name of ["held", "cost", "left"]) part(name).textContent = "\u2013";
  part("said").textContent = "";
  document.getElementById("settled").replaceChildren();
  part("send").disabled = true;
  part("stop").hidden = false;
  state("Sent");
}

function state(text, bad = false) {
  part("state").textContent = text;
  part("state").classList.toggle("bad", bad);
}

function tell(headers) {
  const shows = { held: "x-pertoken-held", cost: "x-pertoken-cost", left: "x-pertoken-budget-remaining" };
  for (const [name, header] of Object.entries(shows)) {
    if (headers.has(header)) part(name).textContent = headers.get(header);
  }
  const said = ["x-pertoken-changed", "x-pertoken-budget-warning", "x-pertoken-warning"];
  part("said").textContent = said.map((name) => headers.get(name)).filter(Boolean).join(" \u00b7 ");
}

function refuse(answer, text) {
  let message = text.slice(0, 2000);
  try {
    message = JSON.parse(text).error.message;
  } catch { /* it is shown as it came */ }
  const code = answer.headers.get("x-pertoken-refused");
  state(`${code ? "Refused" : "Failed"} (${answer.status}${code ? `, ${code}` : ""})`, true);
  add(message);
}

function whole(answer) {
  add(answer.choices?.[0]?.message?.content ?? "");
  state("Done");
}

async function follow(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const lines = (rest + value).split(/\r?\n/);
    rest = lines.pop();
    for (const line of lines) if (line.startsWith("data:")) take(line.slice(5).trim());
  }
  if (!part("state").classList.contains("bad")) state("Done");
}

function take(data) {
  if (data === "[DONE]") return;
  try {
    const event = JSON.parse(data);
    if (event.error) state(event.error.message, true);
    add(event.choices?.[0]?.delta?.content ?? "");
  } catch {
    state("The gateway sent an event that is no JSON.", true);
  }
  if (part("state").textContent === "Sent") state("Streaming");
}

function add(text) {
  part("answer").append(text); // as text, never as markup
}

// What the call came to is in the books: these pages say it.
async function settle(id) {
  for (let tries = 0; tries < 5; tries += 1) {
    const asPage = { headers: { accept: "text/html" }, cache: "no-store" }; // to others the gateway shows no pages
    const answer = await fetch(`/playground?call=${encodeURIComponent(id)}`, asPage);
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const settled = page.getElementById("settled");
    document.getElementById("settled").replaceChildren(...settled.childNodes);
    const cost = document.querySelector("#settled .figure");
    if (cost) {
      part("cost").textContent = cost.title;
      return;
    }
    await new Promise((wake) => { setTimeout(wake, 300); });
  }
}
