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

// Each wire as its SDKs speak it: how the key goes, where the models are listed, what is asked, where the text stands.
const WIRES = {
  openai: {
    head: (key) => ({ authorization: `Bearer ${key}` }),
    models: "/v1/models",
    names: (listed) => listed.data.map((one) => one.id),
    path: () => "/v1/chat/completions",
    body: (ask) => ({ model: ask.model, messages: ask.messages, stream: ask.streams, max_tokens: ask.most }),
    text: (part) => (part.choices?.[0]?.delta ?? part.choices?.[0]?.message)?.content,
  },
  anthropic: {
    head: (key) => ({ "x-api-key": key, "anthropic-version": "2023-06-01" }),
    models: "/v1/models",
    names: (listed) => listed.data.map((one) => one.id),
    path: () => "/v1/messages",
    body: (ask) => ({ model: ask.model, messages: ask.messages, stream: ask.streams, max_tokens: ask.most ?? 4096 }),
    text: (part) => part.delta?.text ?? joined(part.content),
  },
  gemini: {
    head: (key) => ({ "x-goog-api-key": key }),
    models: "/v1beta/models",
    names: (listed) => listed.models.map((one) => one.name.replace(/^models\//, "")),
    path: (ask) => `/v1beta/models/${encodeURIComponent(ask.model)}:${ask.streams ? "streamGenerateContent?alt=sse" : "generateContent"}`,
    body: (ask) => ({
      contents: [{ role: "user", parts: [{ text: ask.messages[0].content }] }],
      generationConfig: { maxOutputTokens: ask.most },
    }),
    text: (part) => joined(part.candidates?.[0]?.content?.parts),
  },
};
const BEGINNINGS = { claude: "anthropic", gemini: "gemini" }; // of models that no list names
const usedLately = [...document.querySelectorAll("#models option")].map((one) => one.value);
let offered = null; // the wire of each model, as the gateway offers it to the key that was typed
let wire = WIRES.openai; // of the call that runs

function joined(parts) {
  return (parts ?? []).map((one) => one.text ?? "").join("");
}

function asked(of, path, more = {}) {
  const headers = { ...of.head(part("key").value.trim()), "content-type": "application/json" };
  return fetch(path, { headers, credentials: "omit", cache: "no-store", ...more }); // no cookie of these pages
}

async function listModels() {
  offered = Promise.all(Object.values(WIRES).map(async (one) => {
    try {
      const answer = await asked(one, one.models);
      return answer.ok ? one.names(await answer.json()) : [];
    } catch {
      return []; // the models of the range stay listed
    }
  })).then((lists) => new Map(lists.flatMap((names, at) => names.map((name) => [name, Object.values(WIRES)[at]])).reverse()));
  const names = [...(await offered).keys()].reverse();
  if (!names.length) return;
  const first = usedLately.filter((name) => names.includes(name));
  const options = [...first, ...names.filter((name) => !first.includes(name))].map((name) => {
    const option = document.createElement("option");
    option.value = name;
    return option;
  });
  document.getElementById("models").replaceChildren(...options);
}

async function wireOf(model) {
  if (!offered) listModels();
  const guess = Object.keys(BEGINNINGS).find((beginning) => model.startsWith(beginning));
  return (await offered).get(model) ?? WIRES[BEGINNINGS[guess] ?? "openai"];
}

async function call() {
  running = new AbortController();
  begin();
  let id = null;
  try {
    const ask = {
      model: part("model").value.trim(),
      messages: [{ role: "user", content: part("prompt").value }],
      streams: part("stream").checked,
      most: Number(part("max").value) || undefined,
    };
    wire = await wireOf(ask.model);
    const more = { method: "POST", body: JSON.stringify(wire.body(ask)), signal: running.signal };
    const answer = await asked(wire, wire.path(ask), more);
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
  part("now").hidden = false;
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
  add(wire.text(answer) ?? "");
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
    add(wire.text(event) ?? "");
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
      part("now").hidden = true; // what was said while it ran is settled now
      return;
    }
    await new Promise((wake) => { setTimeout(wake, 300); });
  }
}
