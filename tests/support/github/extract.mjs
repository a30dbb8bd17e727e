// Takes from GitHub's OpenAPI description the operations that the fake serves, with the schemas they reach, and from
// its webhook examples the payloads that the fake makes: tests/fixtures/github-openapi.json and github-webhooks.json.
//
//   cd /tmp && npm i @octokit/openapi@23 @octokit/webhooks-examples@7
//   node extract.mjs /tmp/node_modules /path/to/tests/fixtures
//
// OpenAPI 3.0 is no JSON Schema: `nullable` becomes a type or an alternative; words that say nothing to a validator go.

import { readFileSync, writeFileSync } from "node:fs";

const [modules, fixtures] = process.argv.slice(2);
const read = (path) => JSON.parse(readFileSync(`${modules}/@octokit/${path}`, "utf8"));
const api = read("openapi/generated/api.github.com.json");

const R = "/repos/{owner}/{repo}";
const wanted = `
GET /rate_limit
GET /user
GET ${R}
GET ${R}/actions/runs
GET ${R}/actions/runs/{run_id}
GET ${R}/actions/runs/{run_id}/jobs
GET ${R}/actions/runs/{run_id}/logs
GET ${R}/actions/runs/{run_id}/attempts/{attempt_number}
GET ${R}/actions/runs/{run_id}/attempts/{attempt_number}/jobs
GET ${R}/actions/runs/{run_id}/attempts/{attempt_number}/logs
POST ${R}/actions/runs/{run_id}/rerun-failed-jobs
GET ${R}/actions/jobs/{job_id}
GET ${R}/actions/jobs/{job_id}/logs
GET ${R}/actions/workflows/{workflow_id}/runs
GET ${R}/check-runs/{check_run_id}
GET ${R}/check-runs/{check_run_id}/annotations
GET ${R}/commits/{ref}
GET ${R}/commits/{ref}/check-runs
GET ${R}/commits/{commit_sha}/pulls
GET ${R}/compare/{basehead}
GET ${R}/branches/{branch}
GET ${R}/contents/{path}
GET ${R}/git/ref/{ref}
GET ${R}/git/matching-refs/{ref}
GET ${R}/git/commits/{commit_sha}
GET ${R}/git/trees/{tree_sha}
POST ${R}/git/blobs
POST ${R}/git/trees
POST ${R}/git/commits
POST ${R}/git/refs
PATCH ${R}/git/refs/{ref}
DELETE ${R}/git/refs/{ref}
GET ${R}/pulls
POST ${R}/pulls
GET ${R}/pulls/{pull_number}
PATCH ${R}/pulls/{pull_number}
GET ${R}/pulls/{pull_number}/files
POST ${R}/pulls/{pull_number}/requested_reviewers
GET ${R}/pulls/{pull_number}/reviews
POST ${R}/pulls/{pull_number}/reviews
GET ${R}/issues
POST ${R}/issues
GET ${R}/issues/{issue_number}
PATCH ${R}/issues/{issue_number}
GET ${R}/issues/{issue_number}/comments
POST ${R}/issues/{issue_number}/comments
POST ${R}/issues/{issue_number}/labels
PATCH ${R}/issues/comments/{comment_id}
`.trim().split("\n");

const pointer = (ref) => ref.slice(2).split("/").reduce((at, key) => at[key], api);
const resolved = (value) => (value?.$ref ? resolved(pointer(value.$ref)) : value);

const silent = ["description", "example", "examples", "title", "externalDocs", "default", "deprecated", "readOnly", "discriminator"];
const reached = new Map();

function schema(value) {
  if (Array.isArray(value)) return value.map(schema);
  if (value === null || typeof value !== "object") return value;
  if (value.$ref) {
    const name = value.$ref.replace("#/components/schemas/", "");
    if (!reached.has(name)) {
      reached.set(name, null);
      reached.set(name, schema(api.components.schemas[name]));
    }
    const reference = { $ref: value.$ref };
    return value.nullable ? { anyOf: [reference, { type: "null" }] } : reference;
  }
  const { nullable, ...rest } = value;
  const out = {};
  for (const [key, inner] of Object.entries(rest)) {
    if (silent.includes(key) || key.startsWith("x-")) continue;
    if (key === "properties" || key === "patternProperties") {
      out[key] = Object.fromEntries(Object.entries(inner).map(([name, property]) => [name, schema(property)]));
    } else if (key === "enum" || key === "required") {
      out[key] = inner;
    } else {
      out[key] = schema(inner);
    }
  }
  if (!nullable) return out;
  if (typeof out.type !== "string" || out.anyOf || out.oneOf || out.allOf) return { anyOf: [out, { type: "null" }] };
  out.type = [out.type, "null"];
  if (out.enum && !out.enum.includes(null)) out.enum = [...out.enum, null];
  return out;
}

const examples = {};
function example(media) {
  const [name, first] = Object.entries(media?.examples ?? {})[0] ?? [];
  if (!first) return undefined;
  const value = resolved(first).value;
  // One example is a reference within a value.
  const key = (first.$ref ?? value?.$ref ?? name).split("/").pop();
  examples[key] = value?.$ref ? resolved(value).value : value;
  return key;
}

const operations = {};
for (const line of wanted) {
  const [method, path] = line.split(" ");
  const operation = api.paths[path]?.[method.toLowerCase()];
  if (!operation) throw new Error(`GitHub does not describe ${line}`);
  const parameters = [...(api.paths[path].parameters ?? []), ...(operation.parameters ?? [])].map(resolved);
  const query = parameters.filter((p) => p.in === "query").map((p) => [p.name, schema(p.schema)]);
  const responses = {};
  for (const [status, response] of Object.entries(operation.responses)) {
    const media = resolved(response).content?.["application/json"];
    responses[status] = media?.schema ? { schema: schema(media.schema) } : {};
    if (status.startsWith("2")) responses[status].example = example(media);
  }
  const body = resolved(operation.requestBody);
  operations[line.replace(R, "")] = {
    query: Object.fromEntries(query),
    bodyRequired: body?.required ?? false,
    body: body?.content?.["application/json"]?.schema ? schema(body.content["application/json"].schema) : undefined,
    responses,
  };
}
const document = { version: api.info.version, operations, components: { schemas: Object.fromEntries(reached) }, examples };
writeFileSync(`${fixtures}/github-openapi.json`, JSON.stringify(document));

const hooks = read("webhooks-examples/api.github.com/index.json");
const completed = (name) => hooks.find((hook) => hook.name === name).examples.find((e) => e.action === "completed");
const webhooks = {
  workflow_run: completed("workflow_run"),
  check_run: completed("check_run"),
  workflow_dispatch: hooks.find((hook) => hook.name === "workflow_dispatch").examples[0],
};
writeFileSync(`${fixtures}/github-webhooks.json`, JSON.stringify(webhooks));
