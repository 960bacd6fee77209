// The settings panel: its fields, their checks, and where they are kept between visits (the API key
// only as long as the tab is open). What they mean to a request is decided in conversation.js.

import { byId } from "./dom.js";

/** Fields that are remembered, by the ids of their elements. */
const REMEMBERED = ["system", "temperature", "max-tokens", "schema"];

const EXAMPLE = {
  type: "object",
  properties: { description: { type: "string" }, colours: { type: "array", items: { type: "string" } } },
  required: ["description", "colours"],
  additionalProperties: false,
};

const dialog = byId("settings");

/** Opens the panel, with the keyboard in the field `id` if one is named. */
export function openSettings(id = "system") {
  if (!dialog.open) dialog.showModal();
  byId(id).focus();
}

/** The API key, or an empty string. */
export const apiKey = () => byId("key").value.trim();

/**
 * What is set: `{ system, temperature, maxTokens, schema }`, undefined where nothing is. Throws an
 * Error with a sentence, whose `field` is the id of the field to correct.
 */
export function settings() {
  return {
    system: byId("system").value.trim() || undefined,
    temperature: number("temperature", "The temperature"),
    maxTokens: number("max-tokens", "The number of tokens in an answer"),
    schema: schema(),
  };
}

function number(id, what) {
  const { value, valueAsNumber, validity, min, max, step } = byId(id);
  // A step is how far the arrow keys go; only a step of 1 means that there is nothing between.
  const isValid = validity.valid || (validity.stepMismatch && step !== "1");
  if (isValid) return value === "" ? undefined : valueAsNumber;
  throw wrong(id, `${what} must be ${max ? `between ${min} and ${max}` : `a whole number from ${min}`}.`);
}

function schema() {
  const text = byId("schema").value.trim();
  if (!text) return undefined;
  let found;
  try {
    found = JSON.parse(text);
  } catch (error) {
    throw wrong("schema", `The schema is not JSON: ${error.message}.`);
  }
  if (found === null || typeof found !== "object" || Array.isArray(found)) {
    throw wrong("schema", "The schema must be a JSON object, such as {\"type\": \"object\"}.");
  }
  return found;
}

function wrong(field, sentence) {
  return Object.assign(new Error(sentence), { field });
}

function checkSchema() {
  let note = "";
  try {
    if (schema()) note = "Every answer will be JSON of this schema.";
    byId("schema").removeAttribute("aria-invalid");
  } catch (error) {
    note = error.message;
    byId("schema").setAttribute("aria-invalid", "true");
  }
  byId("schema-note").textContent = note;
}

/** The chip beside the question says what else goes with it, since the panel is mostly closed. */
function showActive() {
  const names = { system: "System prompt", schema: "JSON schema" };
  const active = Object.keys(names).filter((id) => byId(id).value.trim());
  byId("active").textContent = active.map((id) => names[id]).join(" · ");
  byId("active").hidden = !active.length;
}

/** Fills the fields and listens; `onKey` is called when another API key has been given. */
export function startSettings(onKey) {
  for (const id of REMEMBERED) {
    const field = byId(id);
    field.value = localStorage[`pixtral.${id}`] ?? field.defaultValue;
    field.addEventListener("input", () => {
      localStorage[`pixtral.${id}`] = field.value;
      checkSchema();
      showActive();
    });
  }
  const key = byId("key");
  key.value = sessionStorage["pixtral.key"] ?? "";
  key.addEventListener("change", () => {
    sessionStorage["pixtral.key"] = apiKey();
    onKey();
  });
  byId("schema-example").addEventListener("click", () => {
    const field = byId("schema");
    field.value = JSON.stringify(EXAMPLE, null, 2);
    field.dispatchEvent(new Event("input"));
    field.setSelectionRange(0, 0);
    field.focus();
  });
  byId("open-settings").addEventListener("click", () => openSettings());
  byId("active").addEventListener("click", () => openSettings());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  checkSchema();
  showActive();
  startTheme();
}

function startTheme() {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const show = () => byId("theme").setAttribute("aria-pressed", isDark());
  byId("theme").addEventListener("click", () => {
    localStorage["pixtral.theme"] = root.dataset.theme = isDark() ? "light" : "dark";
    show();
  });
  system.addEventListener("change", show);
  show();
}
