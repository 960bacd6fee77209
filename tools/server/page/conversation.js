// A conversation's turns and the request that asks for the next one. Turns are `{ role: "user", text,
// pictures }` and `{ role: "assistant", text }`. Knows nothing of elements or of the network.

import { shrinkToFit } from "./pictures.js";

/** What the JSON around pictures and texts takes at most; a turn's own braces are far below it. */
const MARGIN = 16384;

/**
 * The body of the request that continues `turns`, and how many pictures had to be made smaller for
 * `model`'s limit of a body.
 */
export async function chatRequest(turns, model, { system, temperature, maxTokens, schema, budget }) {
  const request = (messages) => ({
    model: model?.id ?? "pixtral",
    messages: system ? [{ role: "system", content: system }, ...messages] : messages,
    stream: true,
    stream_options: { include_usage: true },
    temperature,
    max_tokens: maxTokens,
    max_image_tokens: budget,
    response_format: schema && { type: "json_schema", json_schema: { name: "answer", schema, strict: true } },
  });
  let shrunk = 0;
  if (model?.max_body_bytes) {
    const texts = JSON.stringify(request(turns.map(({ text }) => text)));
    const limit = model.max_body_bytes - new Blob([texts]).size - MARGIN;
    shrunk = await shrinkToFit(turns.flatMap(({ pictures }) => pictures ?? []), limit);
  }
  return { body: JSON.stringify(request(turns.map(message))), shrunk };
}

function message({ role, text, pictures = [] }) {
  if (!pictures.length) return { role, content: text };
  const content = pictures.map(({ data }) => ({ type: "image_url", image_url: { url: data } }));
  if (text) content.push({ type: "text", text });
  return { role, content };
}
