// The little Markdown that answers use (paragraphs, headings, lists, tables, code, emphasis), made
// into elements. Links and pictures stay text on purpose: what a model writes must not be able to
// fetch or lead anywhere.

import { element } from "./dom.js";

const FENCE = /^\s*(`{3,}|~{3,})\s*([\w+-]*)/;
const HEADING = /^#{1,6}\s+(.*)/;
const ITEM = /^(\s*)([-*+]|(\d{1,9})[.)])\s+(.*)/;
const INLINE = /(`+)(.{1,400}?)\1|\*\*(?=\S)(.{1,400}?)(?<=\S)\*\*|\*(?=\S)(.{1,400}?)(?<=\S)\*/s;

/** Shows `text` in `container`. What did not change since the last call is left as it is. */
export function showMarkdown(container, text) {
  const sources = blocks(text);
  const shown = container.children;
  sources.forEach((source, i) => {
    if (shown[i]?.source === source) return;
    const made = Object.assign(block(source), { source });
    if (shown[i]) shown[i].replaceWith(made);
    else container.append(made);
  });
  while (shown.length > sources.length) container.lastChild.remove();
}

/** The source texts of blocks, in order. */
function blocks(text) {
  const found = [];
  let lines = [];
  let kind = null;
  let fence = null;
  const end = () => {
    if (lines.length) found.push(lines.join("\n"));
    lines = [];
    kind = null;
  };
  for (const line of text.split("\n")) {
    if (fence) {
      lines.push(line);
      if (line.trim() === fence) {
        fence = null;
        end();
      }
      continue;
    }
    const opening = line.match(FENCE)?.[1];
    const continues = kind === "item" && /^\s{2,}\S/.test(line);
    const next = continues ? kind : kindOf(line);
    if (opening || next !== kind || next === "heading") end();
    if (next === "blank") continue;
    fence = opening ?? null;
    kind = next;
    lines.push(line);
  }
  end();
  return found;
}

function kindOf(line) {
  if (!line.trim()) return "blank";
  if (HEADING.test(line)) return "heading";
  if (ITEM.test(line)) return "item";
  return line.trimStart().startsWith("|") ? "table" : "text";
}

function block(source) {
  const lines = source.split("\n");
  const fence = lines[0].match(FENCE);
  if (fence) {
    const closed = lines.length > 1 && lines.at(-1).trim() === fence[1];
    return code(lines.slice(1, closed ? -1 : undefined).join("\n"));
  }
  const heading = source.match(HEADING);
  if (heading) return element("h3", {}, ...inline(heading[1]));
  if (ITEM.test(lines[0])) return list(lines);
  if (lines.length > 1 && /^[\s|:-]*-[\s|:-]*$/.test(lines[1]) && lines[0].includes("|")) return table(lines);
  return element("p", {}, ...inline(source));
}

/** Text shown as it is. */
export function code(text) {
  return element("pre", { tabIndex: 0 }, element("code", {}, text));
}

function list(lines) {
  const open = [];
  let item;
  for (const line of lines) {
    const found = line.match(ITEM);
    if (!found) {
      item.append("\n", ...inline(line.trim()));
      continue;
    }
    const [, { length: indent }, , number, text] = found;
    while (open.length > 1 && indent < open.at(-1).indent) open.pop();
    if (!open.length || indent > open.at(-1).indent + 1) {
      const made = element(number ? "ol" : "ul");
      if (number) made.start = Number(number);
      item?.append(made);
      open.push({ made, indent });
    }
    item = element("li", {}, ...inline(text));
    open.at(-1).made.append(item);
  }
  return open[0].made;
}

function table(lines) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|");
  const row = (tag, line) => element("tr", {}, ...cells(line).map((cell) => element(tag, {}, ...inline(cell.trim()))));
  const head = element("thead", {}, row("th", lines[0]));
  const body = element("tbody", {}, ...lines.slice(2).map((line) => row("td", line)));
  return element("div", { className: "wide", tabIndex: 0 }, element("table", {}, head, body));
}

function inline(text) {
  const made = [];
  for (let rest = text; rest; ) {
    const found = rest.match(INLINE);
    if (!found) {
      made.push(rest);
      break;
    }
    const [all, , verbatim, strong, emphasis] = found;
    if (found.index) made.push(rest.slice(0, found.index));
    if (verbatim !== undefined) made.push(element("code", {}, verbatim));
    else made.push(element(strong ? "strong" : "em", {}, ...inline(strong ?? emphasis)));
    rest = rest.slice(found.index + all.length);
  }
  return made;
}
