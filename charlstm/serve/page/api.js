// What the page says to its server, and what can go wrong while it does.

/** The server answered with a sentence. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {{message?: string, code?: string|null, param?: string|null}} error
   */
  constructor(status, error) {
    super(error.message ?? `${status}`);
    this.status = status;
    this.code = error.code ?? null;
    this.param = error.param ?? null;
  }
}

/** The server did not answer. */
export class Gone extends Error {}

/** A tab is known to the server by this, as long as it is open. */
export const CLIENT = crypto.randomUUID?.() ?? String(Math.random()).slice(2);

/**
 * Return the address of a run and what belongs to it.
 * @param {string} run
 * @param {...string} rest
 */
export function ofRun(run, ...rest) {
  return ["/api/runs", run, ...rest.filter(Boolean)]
    .map((part, place) => (place ? encodeURIComponent(part) : part))
    .join("/");
}

async function answered(address, options) {
  let response;
  try {
    response = await fetch(address, { cache: "no-store", ...options });
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new Gone(problem.message);
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  throw new Refused(response.status, body.error ?? {});
}

async function asJson(response) {
  try {
    return await response.json();
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new Gone(problem.message); // it broke off in the middle
  }
}

/**
 * Ask for something.
 * @param {string} address
 * @param {{signal?: AbortSignal}} [options]
 * @returns {Promise<any>}
 * @throws {Refused|Gone}
 */
export async function get(address, options = {}) {
  return asJson(await answered(address, options));
}

/**
 * Tell the server something and return its answer.
 * @param {string} address
 * @param {Object} [body]
 * @param {{signal?: AbortSignal, keepalive?: boolean}} [options]
 * @returns {Promise<any>}
 * @throws {Refused|Gone}
 */
export async function post(address, body = {}, options = {}) {
  const headers = { "Content-Type": "application/json" };
  const request = { method: "POST", headers, body: JSON.stringify(body), ...options };
  return asJson(await answered(address, request));
}

/**
 * Yield the events of a stream until it ends.
 * @param {string} address
 * @param {AbortSignal} signal
 * @throws {Refused|Gone}
 */
export async function* events(address, signal) {
  const response = await answered(address, { signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    let piece;
    try {
      piece = await reader.read();
    } catch (problem) {
      if (problem.name === "AbortError") throw problem;
      throw new Gone(problem.message);
    }
    if (piece.done) return;
    const parts = (rest + piece.value).split(/\r?\n\r?\n/);
    rest = parts.pop();
    for (const part of parts) {
      const data = part.split(/\r?\n/).filter((line) => line.startsWith("data:"));
      if (data.length) yield JSON.parse(data.map((line) => line.slice(5)).join("\n"));
    }
  }
}

/**
 * Wait, unless it is no longer worth it.
 * @param {number} milliseconds
 * @param {AbortSignal} [signal]
 */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("aborted", "AbortError"));
    });
  });
}

/** How long to wait before the server is asked again, in milliseconds: at first not long. */
export const PATIENCE = [500, 1000, 2000, 3000, 5000];

/**
 * Return how long to wait after so many attempts.
 * @param {number} attempts
 */
export function patience(attempts) {
  return PATIENCE[Math.min(attempts, PATIENCE.length - 1)];
}
