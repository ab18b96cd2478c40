/** `weft describe`: all about a resource, in the order in which one asks. */

import type { Client, ServedKind } from '#api/client'
import type { Resource } from '#resources/kind'
import { exit, Stopped } from '../exit.ts'
import { tellSpan } from '../moment.ts'
import { whichObjects } from '../names.ts'
import { yamlText } from '../print.ts'
import { openScope, type Session } from '../session.ts'
import { affectedBy } from '../describe/affects.ts'
import { conditionLines } from '../describe/conditions.ts'
import { sparingLines } from '../describe/sparing.ts'
import { edgeLines } from './topology.ts'

type Flags = { readonly namespace?: string; readonly control?: string }

export async function describe(session: Session, typed: string, names: readonly string[], flags: Flags): Promise<number> {
  const { client, kinds, namespace } = await openScope(session, flags)
  const wanted = await whichObjects(kinds, typed, names)
  const found: { readonly kind: ServedKind; readonly resource: Resource }[] = []
  for (const each of wanted) {
    const resources = each.names
      ? await Promise.all(each.names.map(name => client.get(each.kind, name, { namespace })))
      : (await client.list(each.kind, { namespace })).items
    found.push(...resources.map(resource => ({ kind: each.kind, resource })))
  }
  if (found.length === 0) throw new Stopped(`no ${wanted.map(({ kind }) => kind.plural).join(', ')} in the namespace ${namespace}`)
  for (const [at, { kind, resource }] of found.entries()) {
    if (at > 0) session.say.out('')
    await one(session, client, kind, resource)
  }
  return exit.ok
}

async function one({ say, now }: Session, client: Client, kind: ServedKind, resource: Resource): Promise<void> {
  const { metadata, spec, status, apiVersion, kind: kindName, ...rest } = resource
  const line = (name: string, text: string): void => say.out(`${say.paint('bold', `${name}:`.padEnd(13))}${text}`)
  const pairs = (name: string, map: Readonly<Record<string, string>> | undefined): void => {
    for (const [at, [key, value]] of Object.entries(map ?? {}).entries())
      line(at === 0 ? name : ' ', `${key}=${value.replace(/\s+/g, ' ')}`.slice(0, 200))
  }
  line('Name', metadata.name)
  if (kind.namespaced) line('Namespace', metadata.namespace ?? '')
  line('Kind', `${kindName} (${apiVersion})`)
  pairs('Labels', metadata.labels)
  pairs('Annotations', kindName === 'Secret' ? withoutCopy(metadata.annotations) : metadata.annotations)
  if (metadata.creationTimestamp)
    line('Created', `${metadata.creationTimestamp} (${tellSpan(now() - Date.parse(metadata.creationTimestamp))} ago)`)
  if (metadata.deletionTimestamp)
    line('Deleted', `${metadata.deletionTimestamp}, waits for ${JSON.stringify(metadata['finalizers'] ?? [])}`)
  if (metadata.generation !== undefined) line('Generation', String(metadata.generation))
  const section = (title: string, lines: readonly string[]): void => {
    if (lines.length === 0) return
    say.out(say.paint('bold', `${title}:`))
    for (const text of lines) say.out(`  ${text}`)
  }
  for (const [name, value] of Object.entries({ spec, ...shown(kindName, rest) }))
    if (value !== undefined) section(name[0]!.toUpperCase() + name.slice(1), (await yamlText(value)).trimEnd().split('\n'))
  const { conditions: _, parents: __, ancestors: ___, ...other } = (status ?? {}) as Record<string, unknown>
  if (Object.keys(other).length > 0) section('Status', (await yamlText(other)).trimEnd().split('\n'))
  section('Conditions', conditionLines(say, status ?? {}, metadata.generation ?? 0, now()))
  const affected = await affectedBy(client, resource)
  if (!affected) return
  section('Proxies', affected.proxies.length > 0 ? affected.proxies.map(({ id, state }) => `${id} (${state})`) : ['none has it'])
  section('Left out, and limits', await sparingLines(client, resource, now()))
  section('Traffic', edgeLines(say, { edges: affected.edges, seconds: 60 }, false))
}

/** Of a Secret only how long each value is, as kubectl has it. */
const shown = (kind: string, rest: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> =>
  kind !== 'Secret'
    ? rest
    : {
        ...rest,
        data: Object.fromEntries(
          Object.entries((rest['data'] ?? {}) as Readonly<Record<string, string>>).map(([name, value]) => [
            name,
            `${Math.floor((value.length * 3) / 4)} bytes`,
          ]),
        ),
      }

/** kubectl keeps the whole document there. */
const withoutCopy = (annotations: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(annotations).filter(([name]) => name !== 'kubectl.kubernetes.io/last-applied-configuration'))
