// The OpenAPI document, to read. Made by hand so that it needs nothing from elsewhere.

import { $, el } from "/static/dom.js";

const answer = await fetch("/openapi.json");
const document_ = await answer.json();
const resolve = (schema) => (schema?.$ref ? document_.components.schemas[schema.$ref.split("/").pop()] : schema ?? {});

/** A schema's type in a word or two. */
function typeOf(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.filter((one) => one.type !== "null").map(typeOf).join(" or ");
  if (schema.type === "array") return `list of ${typeOf(schema.items ?? {})}`;
  return schema.format === "binary" ? "file" : schema.type ?? "any";
}

const row = (name, schema, text, needed) => el("tr", {},
  el("td", {}, el("code", {}, name), needed ? " *" : ""), el("td", {}, typeOf(schema)), el("td", {}, text ?? ""));

function fields(schema) {
  const known = resolve(schema);
  if (!known.properties) return el("p", {}, typeOf(schema));
  const needed = new Set(known.required);
  return el("table", {}, ...Object.entries(known.properties).map(([name, one]) => row(name, one, one.description, needed.has(name))));
}

const quote = (path) => `curl '${location.origin}${path.replaceAll(/\{(\w+)\}/g, (_, name) => name.toUpperCase())}'`;
const EXAMPLES = {
  "post /search": () => `curl --data-binary @shoe.jpg -H 'Content-Type: image/jpeg' '${location.origin}/search?k=5'`,
  "get /search": () => `curl '${location.origin}/search?like=PIN&unlike=OTHER&k=5'`,
  "post /look": () => `curl --data-binary @room.jpg -H 'Content-Type: image/jpeg' '${location.origin}/look'`,
};

function route(path, method, operation) {
  const inside = el("div", { class: "inside" }, el("p", {}, operation.description ?? ""));
  const example = EXAMPLES[`${method} ${path}`] ?? (method === "get" ? () => quote(path) : null);
  if (example) inside.append(el("pre", { tabindex: "0" }, example()));
  if (operation.parameters?.length) {
    inside.append(el("h3", {}, "Parameters"), el("table", {}, ...operation.parameters.map((one) => row(one.name, one.schema, one.description, one.required))));
  }
  for (const [type, { schema }] of Object.entries(operation.requestBody?.content ?? {})) inside.append(el("h3", {}, `Body: ${type}`), fields(schema));
  for (const [status, { content }] of Object.entries(operation.responses)) {
    const schema = content?.["application/json"]?.schema;
    if (status < 300 && schema) inside.append(el("h3", {}, `Answer ${status}`), fields(schema));
  }
  const problems = Object.keys(operation.responses).filter((status) => status >= 400);
  if (problems.length) inside.append(el("p", {}, `Problems: ${problems.join(", ")}.`));
  return el("details", {}, el("summary", {}, el("b", {}, method.toUpperCase()), el("code", {}, path), el("span", {}, operation.summary ?? "")), inside);
}

$("lead").textContent = `${document_.info.summary} ${document_.info.description}`;
const groups = new Map();
for (const [path, methods] of Object.entries(document_.paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    const tag = operation.tags?.[0] ?? "other";
    groups.set(tag, [...(groups.get(tag) ?? []), route(path, method, operation)]);
  }
}
$("routes").replaceChildren(...[...groups].flatMap(([tag, routes]) => [el("h2", {}, tag), ...routes]));
