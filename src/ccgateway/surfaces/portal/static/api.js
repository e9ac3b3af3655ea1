// The public GraphQL interface, which is all that these pages know of jobs.

import { root } from "./dom.js";

const TOKEN = "token";

/** Why there is no answer: `entries` are GraphQL errors, each with a code. */
export class Trouble extends Error {
  constructor(entries) {
    super(entries[0]?.message ?? "Something failed.");
    this.entries = entries;
  }
  get code() {
    return this.entries[0]?.extensions?.code ?? "INTERNAL";
  }
}

const trouble = (code, message) => new Trouble([{ message, extensions: { code } }]);

export const token = () => sessionStorage.getItem(TOKEN);

/** Keeps a token for this tab, or (`null`) forgets it. */
export function keepToken(text) {
  if (text) sessionStorage.setItem(TOKEN, text);
  else sessionStorage.removeItem(TOKEN);
}

/** Any request to the gateway, by whoever is signed in. */
export async function request(path, options = {}) {
  const headers = { "X-CCGateway-Portal": "1", ...options.headers };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  try {
    return await fetch(root + path, { ...options, headers, credentials: "same-origin", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw trouble("OFFLINE", "The gateway does not answer.");
  }
}

/** The answer `{data, errors, extensions}` to a document. Raises `Trouble` where there are no data at all. */
export async function ask(query, variables = {}, signal = undefined) {
  const response = await request("/graphql", {
    method: "POST",
    signal,
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify({ query, variables }),
  });
  let answer;
  try {
    answer = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw trouble("BAD_ANSWER", `What came (status ${response.status}) is no answer of the gateway.`);
  }
  if (!answer.data || Object.values(answer.data).every((value) => value === null) && answer.errors?.length) {
    const entries = answer.errors ?? [];
    const failed = new Trouble(entries.length ? entries : [{ message: `Status ${response.status}`, extensions: { code: "INTERNAL" } }]);
    if (failed.code === "UNAUTHENTICATED") document.dispatchEvent(new CustomEvent("unauthenticated"));
    throw failed;
  }
  return answer;
}
