// Numbers as the page shows them, with spaces (U+00A0) that keep them and their units on one line.

export const count = (n) => n.toLocaleString("en-US");

export const tokens = (n) => `${count(n)} ${n === 1 ? "token" : "tokens"}`;

/** A measured time. */
export function duration(seconds) {
  if (seconds < 0.1) return "0.1\u00a0s";
  if (seconds < 10) return `${seconds.toFixed(1)}\u00a0s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}\u00a0s`;
  return `${Math.floor(whole / 60)}\u00a0min\u00a0${whole % 60}\u00a0s`;
}

/** An expected time, no more exact than it can be. */
export function about(seconds) {
  if (seconds < 1) return "under 1\u00a0s";
  if (seconds < 10) return `about ${Math.round(seconds)}\u00a0s`;
  if (seconds < 90) return `about ${Math.round(seconds / 5) * 5}\u00a0s`;
  return `about ${Math.round(seconds / 60)}\u00a0min`;
}

export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)}\u00a0MB`;
