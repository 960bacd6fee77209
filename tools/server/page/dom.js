// Making and finding elements. Text enters the page through here as text nodes only: nothing on this
// page is ever parsed as HTML.

export const byId = (id) => document.getElementById(id);

/** A new element with `properties` set and `children` (elements or strings) inside. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Tells screen readers `text`, without showing it. */
export function announce(text) {
  byId("live").textContent = text;
}
