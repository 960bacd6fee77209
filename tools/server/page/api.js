// The server's HTTP interface, and its failures as sentences. Knows nothing of what is on the page.

import { serverSentEvents } from "./sse.js";

/** What went wrong, in one sentence for the user. `status` is 0 if there was no answer at all. */
export class Failure extends Error {
  constructor(sentence, status = 0, retryAfter = null) {
    super(sentence);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

const LOST = "The connection to the server broke before the answer was complete.";

async function request(path, { key, signal, body }) {
  const headers = {};
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const method = body === undefined ? "GET" : "POST";
  let response;
  try {
    response = await fetch(path, { method, headers, signal, body });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("The server does not answer. Is pixtral serve still running?");
  }
  if (!response.ok) throw await failureOf(response, Boolean(key), signal);
  return response;
}

async function failureOf(response, withKey, signal) {
  const { status } = response;
  const said = await response.json().then((answer) => answer.error?.message, () => signal?.throwIfAborted());
  const seconds = Number.parseFloat(response.headers.get("Retry-After"));
  return new Failure(sentence(status, said, withKey), status, Number.isNaN(seconds) ? null : seconds);
}

function sentence(status, said, withKey) {
  switch (status) {
    case 401:
      return withKey
        ? "The server does not accept this API key. Check it in Settings."
        : "This server asks for an API key. Give it in Settings.";
    case 413:
      return "The pictures are more than the server takes at once. Remove some, or use smaller ones.";
    case 429:
      return "The server is busy with other requests. Try again in a moment.";
    default:
      return said || `The server answered with status ${status} and no explanation.`;
  }
}

/** The model that is served: its `id`, and what else the server says about it. */
export async function servedModel(key) {
  const answer = await (await request("v1/models", { key })).json();
  return answer.data[0];
}

/**
 * What pictures of sizes `{ width, height }` cost if each may take `budget` tokens (undefined: as many as
 * it has): `{ image_tokens, seconds }`, tokens by picture, or null from a server that cannot tell.
 */
export async function estimate(pictures, budget, { key, signal }) {
  const images = pictures.map(({ width, height }) => ({ width, height }));
  const body = JSON.stringify({ images, max_image_tokens: budget });
  try {
    return await (await request("v1/estimate", { key, signal, body })).json();
  } catch (error) {
    if (error instanceof Failure) return null;
    throw error;
  }
}

/**
 * Asks for a chat completion with the JSON text `body`. Yields, as they come, `{ doing,
 * done, total }` (`doing` is "encoding" pictures or "reading" tokens), `{ text }`, `{ finish }` and `{ usage }`.
 */
export async function* chat(body, { key, signal }) {
  const response = await request("v1/chat/completions", { key, signal, body });
  let finished = false;
  try {
    for await (const { data, comment } of serverSentEvents(response.body)) {
      const progress = comment?.match(/^(encoding|reading) (\d+)\/(\d+)$/);
      if (progress) yield { doing: progress[1], done: Number(progress[2]), total: Number(progress[3]) };
      if (data === undefined || data === "[DONE]") continue;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Failure(chunk.error.message, response.status);
      const choice = chunk.choices?.[0];
      if (choice?.delta?.content) yield { text: choice.delta.content };
      if (choice?.finish_reason) {
        finished = true;
        yield { finish: choice.finish_reason };
      }
      if (chunk.usage) yield { usage: chunk.usage };
    }
  } catch (error) {
    if (error.name === "AbortError" || error instanceof Failure) throw error;
    throw new Failure(LOST);
  }
  if (!finished) throw new Failure(LOST);
}
