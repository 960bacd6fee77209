// Numbers as the page shows them.

export const count = (n) => n.toLocaleString("en-US");

export const tokens = (n) => `${count(n)} ${n === 1 ? "token" : "tokens"}`;

/** A measured time. */
export function duration(seconds) {
  if (seconds < 0.1) return "0.1 s";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** An expected time, no more exact than it can be. */
export function about(seconds) {
  if (seconds < 1) return "under 1 s";
  if (seconds < 0.1) return "0.1 s";
  if (seconds < 10) return `about ${Math.round(seconds)} s`;
  if (seconds < 90) return `about ${Math.round(seconds / 5) * 5} s`;
  return `about ${Math.round(seconds / 60)} min`;
}

export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
