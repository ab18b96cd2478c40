/** Writes docs/reference from the schemas of all kinds and the table of failures; with --check it only says which pages are not current. */

import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { lacks } from '../src/model/envoy.ts'
import { failures } from '../src/base/failure.ts'
import { administered, routes, verbRights } from '../src/control/operators/rights.ts'
import { apiVersionOf } from '../src/resources/kind.ts'
import { operatorsSchema } from '../src/resources/operators-file.ts'
import { kinds, versionsOf } from '../src/resources/registry.ts'
import { schemaOf } from '../src/resources/schema.ts'
import { limitsPage } from './limits.mjs'

const folder = join(dirname(fileURLToPath(import.meta.url)), '../docs/reference')
const madeBy = '<!-- Written by scripts/reference.mjs from the schemas: change those, then run `node scripts/reference.mjs`. -->\n\n'

const pages = new Map([
  ['README.md', index()],
  ['failures.md', failurePage()],
  ['limits.md', limitsPage(madeBy)],
  ['operators.md', operatorsPage()],
  ['envoy.md', envoyPage()],
  ...kinds.map(kind => [pageName(kind), kindPage(kind)]),
])

if (process.argv.includes('--check')) {
  const stale = [...pages]
    .filter(([name, text]) => !existsSync(join(folder, name)) || readFileSync(join(folder, name), 'utf8') !== text)
    .map(([name]) => name)
  const extra = outdated()
  if (stale.length + extra.length > 0) {
    console.error(`docs/reference is not current (${[...stale, ...extra].join(', ')}): run node scripts/reference.mjs`)
    process.exit(1)
  }
} else {
  mkdirSync(folder, { recursive: true })
  for (const name of outdated()) rmSync(join(folder, name))
  for (const [name, text] of pages) writeFileSync(join(folder, name), text)
  console.log(`${pages.size} pages in docs/reference`)
}

/** Pages of kinds that are gone; those written by hand stay. */
function outdated() {
  return globSync('*.md', { cwd: folder }).filter(name => !pages.has(name) && readFileSync(join(folder, name), 'utf8').startsWith(madeBy))
}

function pageName(kind) {
  return `${kind.kind.toLowerCase()}.md`
}

function index() {
  const rows = kinds.map(
    kind =>
      `| [${kind.kind}](${pageName(kind)}) | \`${apiVersionOf(kind)}\` | ${kind.namespaced ? 'a namespace' : 'the whole mesh'} | ${cell(firstSentence(kind.description))} |`,
  )
  return `${madeBy}# Reference\n\nEvery kind that the mesh reads, [every way in which it ends a request itself](failures.md), [what it does with header fields](headers.md), [the PROXY protocol](proxy-protocol.md), [limits](limits.md), [who may use the operator API](operators.md), [what Envoy does not carry out](envoy.md), and [what hostile input meets](hostile.md).\n\n| Kind | apiVersion | Lives in | What it is |\n| --- | --- | --- | --- |\n${rows.join('\n')}\n`
}

function kindPage(kind) {
  const versions = versionsOf(kind).map(version => `\`${kind.group === '' ? version : `${kind.group}/${version}`}\``)
  const names = [kind.plural, kind.singular, ...kind.shortNames].map(name => `\`${name}\``)
  const facts = [
    `- apiVersion: ${versions[0]}${versions.length > 1 ? `; also read as ${versions.slice(1).join(', ')}` : ''}`,
    `- Lives in ${kind.namespaced ? 'a namespace' : 'the whole mesh, without a namespace'}`,
    `- On the command line: ${names.join(', ')}`,
    `- Columns: ${kind.columns.map(column => `${column.name}${column.priority ? ' (wide)' : ''}`).join(', ')}`,
  ]
  const { spec, status, apiVersion: _, kind: __, metadata: ___, ...others } = schemaOf(kind).properties
  const { required } = schemaOf(kind)
  const top = Object.keys(others).length === 0 ? undefined : { properties: others, required }
  const part = (title, name, schema, says) =>
    schema
      ? `\n## ${title}\n\n${says}\n\n| Field | Type | | What it says |\n| --- | --- | --- | --- |\n${rows(schema, name).join('\n')}\n`
      : ''
  return `${madeBy}# ${kind.kind}\n\n${kind.description}\n\n${facts.join('\n')}\n${part('Fields', '', top, 'What stands beside `metadata`; `[]` stands for each entry of a list, `{}` for each key of a mapping.')}${part('spec', '', spec, 'What is asked for. Fields under `spec`; `[]` stands for each entry of a list, `{}` for each key of a mapping.')}${part('status', '', status, 'What is reported; written by the mesh.')}`
}

/** A row for each field, depth first, in the order of the schema. */
function rows(schema, path) {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const at = path === '' ? name : `${path}.${name}`
    const required = (schema.required ?? []).includes(name)
      ? 'required'
      : field.default === undefined
        ? ''
        : `default \`${JSON.stringify(field.default)}\``
    return [`| \`${at}\` | ${cell(typeOf(field))} | ${cell(required)} | ${cell(field.description ?? '')} |`, ...inside(field, at)]
  })
}

function inside(field, at) {
  if (field.items) return inside(field.items, `${at}[]`)
  if (field.additionalProperties?.properties) return rows(field.additionalProperties, `${at}{}`)
  return rows(field, at)
}

function typeOf(field) {
  if (field.oneOf) return 'integer or string'
  if (field.enum) return field.enum.map(value => `\`${value === '' ? '""' : value}\``).join(', ')
  if (field.type === 'array') return `list of ${typeOf(field.items)}${bounds(field.minItems, field.maxItems, 'entries')}`
  if (field.type === 'object') return field.additionalProperties ? `mapping to ${typeOf(field.additionalProperties)}` : 'object'
  if (field.type === 'string') return `string${bounds(field.minLength, field.maxLength, 'characters')}`
  return `${field.type ?? 'any'}${bounds(field.minimum, field.maximum, '')}`
}

function bounds(low, high, unit) {
  if (low === undefined && high === undefined) return ''
  const range = high === undefined ? `at least ${low}` : low === undefined || low === 0 ? `at most ${high}` : `${low} to ${high}`
  return ` (${[range, unit].filter(Boolean).join(' ')})`
}

function envoyPage() {
  const means = {
    closed: 'closed',
    partly: 'closed in part',
    without: 'left out',
    less: 'done otherwise',
  }
  const body = Object.values(lacks).map(
    ({ kind, asks, why, fate, instead }) => `| ${kind} | ${cell(asks)} | ${cell(why)} | ${means[fate]} | ${cell(instead)} |`,
  )
  return `${madeBy}# What Envoy does not carry out

An [Envoy as the proxy](../guide/envoy.md) of a workload or a Gateway gets Envoy's own messages. For some of what can be written here it has none. It is never sent what it would refuse, for then it
would go on with what it had before, and so without a policy that is new. In place of that:

- **closed**: what the document is about is answered 503, or goes nowhere; **closed in part**: so much of it as the last column says.
- **left out**: it is no matter of who may do what; all else is done.
- **done otherwise**: nothing is let on by it that the document would stop.

Of the first three the document says \`Enforced: False\` with the reason \`ProxyLacks\`, which names the proxy, the route or listener, and this; \`weft status\` says it too. Proxies of Weft in the same mesh carry all of it out.

| Kind | What is asked for | What Envoy lacks | What becomes of it | How |
| --- | --- | --- | --- | --- |
${body.join('\n')}

Further differences, of which nothing depends on who may do what, are in [the guide](../guide/envoy.md#what-it-carries-out).

## What it refuses all the same

What an Envoy refuses for a reason that the mesh did not foresee (a port that is taken, an older Envoy, a pattern that is too complex) it refuses by name: \`weft status\` and \`weft proxy list\` say it, and policies about who may call
say \`Enforced: False\`, \`ProxyRefuses\`.
`
}

function failurePage() {
  const body = Object.entries(failures).map(
    ([code, { status, grpc, blame, fate, says, hint }]) =>
      `| \`${code}\` | ${status} | ${grpc} | ${blame} | ${fate} | ${cell(says)} | ${cell(hint)} |`,
  )
  return `${madeBy}# Failures

Every way in which the mesh itself ends a request or a connection. An answer carries the code in a header; the proxy counts it.

- Blame: the caller (\`downstream\`), the called (\`upstream\`), the \`mesh\` itself, or a \`policy\` that somebody wrote.
- Fate: \`final\` is never tried again; \`safe\` may be tried at any other endpoint, for nothing was sent; \`reused\` only where the connection had served before.

| Code | HTTP | gRPC | Blame | Fate | What happened | What to do |
| --- | --- | --- | --- | --- | --- | --- |
${body.join('\n')}
`
}

function operatorsPage() {
  const right = { open: 'none', known: 'to be known', read: 'viewer', edit: 'editor', administer: 'admin' }
  const verbs = Object.entries(verbRights).map(([verb, needed]) => `| \`${verb}\` | ${right[needed]} |`)
  const beside = Object.entries(routes).map(
    ([route, entry]) =>
      `| \`${route}\` | ${right[entry.right]} | ${entry.where ? 'the namespace that the request names' : 'the whole mesh'} | ${entry.does} |`,
  )
  return `${madeBy}# Operators

Who may use the operator API, and for what: the [guide](../guide/operators.md) says how.

## The settings

The file of \`weft control --operators\`, YAML or JSON. \`[]\` stands for each entry of a list.

| Field | Type | | What it says |
| --- | --- | --- | --- |
${rows(operatorsSchema(), '').join('\n')}

## Roles that resources need

In the namespace of the path; in the whole mesh for kinds without one, and for lists of all namespaces. Status, and ${administered.map(each => `\`${each}\``).join(', ')}, are changed by an admin.

| Verb | Role |
| --- | --- |
${verbs.join('\n')}

## Roles that other routes need

| Route | Role | Where | What for |
| --- | --- | --- | --- |
${beside.join('\n')}
`
}

function firstSentence(text) {
  return /^.*?[.:](?= |$)/.exec(text)?.[0].replace(/:$/, '.') ?? text
}

function cell(text) {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ')
}
