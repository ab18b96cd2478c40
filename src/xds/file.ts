/**
 * A file of Envoy resources as the view of a proxy that has no control plane.
 *
 * What the file may say and what is refused is the same as over xDS, since both go through `decode`; what stands whole in a file (routes in their
 * listener, endpoints in their cluster, certificates by file name) is first taken apart into the resources that the proxy knows.
 */

import { type DescMessage, fromJson, type JsonValue, type Message, type MessageShape, toBinary } from '@bufbuild/protobuf'
import { BadInput, type Problem } from '#base/note'
import { emptyView, type View } from '#model/view'
import { joinChains } from './decode/fallback.ts'
import { type Part, decodeResource } from './decode.ts'
import { Rejected } from './decode/carried.ts'
import { type Bootstrap, type Found, readBootstrap } from './file/bootstrap.ts'
import { type Mistake, mistakesIn, tidy } from './file/check.ts'
import { type FileDocument, type Path, readDocuments } from './file/document.ts'
import { takeCluster, takeListener } from './file/dynamic.ts'
import { dangling } from './file/references.ts'
import { registry, resourceSchemas } from './file/registry.ts'
import { NamedTls, type OwnSource, type RootSource, takeSecret } from './file/tls.ts'
import { typeUrls } from './types.ts'

export type { OwnSource, RootSource, Source } from './file/tls.ts'

export type FileConfig = {
  /** Whole but for `trust`: the roots are in files that have yet to be read. */
  readonly view: View
  readonly own: OwnSource | undefined
  readonly roots: RootSource | undefined
  /** Some listener or cluster speaks TLS: without a certificate the proxy cannot serve. */
  readonly needsCertificate: boolean
  /** Who the proxy says it is, for metrics; empty where the file does not say. */
  readonly node: Bootstrap['node']
  readonly adminPort: number | undefined
}

/** file: its name, for places. Throws BadInput with every problem and its place. */
export function readFileConfig(file: string, text: string): FileConfig {
  const problems: Problem[] = []
  const found: Found[] = []
  let node: Bootstrap['node'] = { id: '', cluster: '' }
  let adminPort: number | undefined
  for (const document of readDocuments(file, text)) {
    const { bootstrap, mistakes } = readBootstrap(document)
    problems.push(...placedAll(document, mistakes))
    found.push(...bootstrap.found)
    if (bootstrap.node.id !== '' || bootstrap.node.cluster !== '') node = bootstrap.node
    adminPort = bootstrap.adminPort ?? adminPort
  }
  const resources = new Resources()
  for (const each of found) resources.parse(each)
  resources.takeApart()
  const parts = resources.decode()
  problems.push(...resources.problems)
  if (problems.length > 0) throw new BadInput(problems.toSorted((a, b) => (a.place?.line ?? 0) - (b.place?.line ?? 0)))
  if (Object.keys(parts.view.listeners).length === 0)
    throw new BadInput([{ place: { file, line: 1, column: 1 }, says: 'it has no listener, so nothing could reach the proxy' }])
  const missing = dangling(parts.view, parts.origins)
  if (missing.length > 0) throw new BadInput(missing)
  const { own, roots, isNeeded } = resources.tls
  return { view: parts.view, own, roots, needsCertificate: isNeeded, node, adminPort }
}

/** One resource on its way; where: of it within the resource of the file that it stands in. */
type Held<Desc extends DescMessage> = { readonly message: MessageShape<Desc>; readonly origin: Found; readonly where: string }
type Schemas = typeof resourceSchemas
type Kind = keyof Schemas

class Resources {
  readonly tls = new NamedTls()
  readonly problems: Problem[] = []
  readonly #held: { [K in Kind]: Held<Schemas[K]>[] } = { listeners: [], clusters: [], secrets: [], routes: [], endpoints: [] }

  parse(origin: Found): void {
    const { schema, json, path, document } = origin
    const mistakes = mistakesIn(schema, json, path)
    this.problems.push(...placedAll(document, mistakes))
    if (mistakes.length > 0) return
    try {
      const message: Message = fromJson(schema, json as JsonValue, { registry })
      const kind = (Object.keys(resourceSchemas) as Kind[]).find(each => resourceSchemas[each] === schema)!
      this.#held[kind].push({ message, origin, where: '' } as never)
    } catch (thrown) {
      this.problems.push(placed(document, { path, says: tidy(thrown) }))
    }
  }

  takeApart(): void {
    for (const held of this.#held.secrets) this.#caught(held, () => takeSecret(held.message, this.tls))
    this.#held.listeners = this.#held.listeners.flatMap(held =>
      this.#caught(held, () => {
        const { listener, tables } = takeListener(held.message, this.tls)
        for (const { message, where } of tables) if (!this.#isSame(message)) this.#held.routes.push({ message, origin: held.origin, where })
        return { ...held, message: listener }
      }),
    )
    this.#held.clusters = this.#held.clusters.flatMap(held =>
      this.#caught(held, () => {
        const apart = this.#held.endpoints.find(({ message }) => message.clusterName === held.message.name)
        const { cluster, endpoints } = takeCluster(held.message, apart?.message, this.tls)
        this.#held.endpoints = this.#held.endpoints.filter(each => each !== apart)
        if (endpoints !== undefined)
          this.#held.endpoints.push({ message: endpoints.message, origin: (apart ?? held).origin, where: endpoints.where })
        return { ...held, message: cluster }
      }),
    )
  }

  /** The chains of one listener may each hold the same table. */
  #isSame(table: MessageShape<Schemas['routes']>): boolean {
    const bytes = toBinary(resourceSchemas.routes, table)
    return this.#held.routes.some(({ message }) => {
      if (message.name !== table.name) return false
      return Buffer.from(toBinary(resourceSchemas.routes, message)).equals(bytes)
    })
  }

  decode(): { view: View; origins: ReadonlyMap<string, Problem['place']> } {
    const parts = {
      listeners: this.#decoded('listeners', typeUrls.listener, message => message.name),
      routes: this.#decoded('routes', typeUrls.route, message => message.name),
      backends: this.#decoded('clusters', typeUrls.cluster, message => message.name),
      endpoints: this.#decoded('endpoints', typeUrls.endpoints, message => message.clusterName),
    }
    const named = <Type extends Part['type']>(type: Type) =>
      Object.fromEntries(
        Object.values(parts)
          .flat()
          .flatMap(({ name, part }) => (part.type === type ? [[name, part.value]] : [])),
      ) as Record<string, Extract<Part, { type: Type }>['value']>
    const chains = Object.values(named('chain'))
    const joined = joinChains(Object.values(named('backend')), chains)
    const nameOf = (set: string): string => chains.find(({ own }) => own === set)?.name ?? set
    const view = {
      ...emptyView,
      listeners: named('listener'),
      routes: named('route'),
      backends: Object.fromEntries(joined.map(each => [each.name, each])),
      endpoints: Object.fromEntries(
        Object.values(named('endpoints')).map(set => [nameOf(set.backend), { ...set, backend: nameOf(set.backend) }]),
      ),
      dns: Object.values(named('dns')).flat(),
    }
    const origins = Object.entries(parts).flatMap(([kind, list]) => list.map(({ name, place }) => [`${kind}/${name}`, place] as const))
    return { view, origins: new Map(origins) }
  }

  #decoded<K extends Kind>(kind: K, typeUrl: string, nameOf: (message: MessageShape<Schemas[K]>) => string) {
    const seen = new Set<string>()
    return this.#held[kind].flatMap(held => {
      const name = nameOf(held.message as MessageShape<Schemas[K]>)
      const reject = (says: string) => {
        this.problems.push(this.#rejected(held, says))
        return []
      }
      if (name === '') return reject(kind === 'endpoints' ? 'cluster_name: missing' : 'name: missing')
      if (seen.has(name)) return reject(`name: a second "${name}" in this file`)
      seen.add(name)
      const decoded = decodeResource(typeUrl, name, toBinary(resourceSchemas[kind], held.message as never))
      if ('rejected' in decoded) return reject(decoded.rejected)
      return [{ name, part: decoded.part, place: held.origin.document.placeOf(held.origin.path) }]
    })
  }

  #caught<Result>(held: Held<Schemas[Kind]>, work: () => Result): Result[] {
    try {
      return [work()]
    } catch (thrown) {
      if (!(thrown instanceof Rejected)) throw thrown
      this.problems.push(this.#rejected(held, thrown.reason))
      return []
    }
  }

  /** says: begins with the field within the resource, as the decoder names it. */
  #rejected({ origin, where }: Held<Schemas[Kind]>, says: string): Problem {
    const [, field = '', rest = says] = /^((?:[A-Za-z_]\w*|\[\d+\]|\["[^"]*"\]|\.)+): ([\s\S]*)$/.exec(says) ?? []
    // A cluster with one transport socket goes on as one whose endpoints all match it.
    const isDirect = isObjectWith(origin.json, 'transport_socket') || isObjectWith(origin.json, 'transportSocket')
    const told = isDirect ? field.replace(/^transport_socket_matches\[0\]/, 'transport_socket') : field
    const path = [...origin.path, ...stepsOf(where), ...stepsOf(told)]
    return placed(origin.document, { path, says: rest })
  }
}

const isObjectWith = (value: unknown, key: string): boolean => typeof value === 'object' && value !== null && key in value

const stepsOf = (field: string): Path =>
  [...field.matchAll(/\[(\d+)\]|\["([^"]*)"\]|([A-Za-z_]\w*)/g)].map(([, index, key, name]) =>
    index === undefined ? (key ?? name ?? '') : Number(index),
  )

/** Nobody mends more at once, and to find a place takes as long as what stands there is large. */
const mostTold = 100

function placedAll(document: FileDocument, mistakes: readonly Mistake[]): readonly Problem[] {
  const told = mistakes.slice(0, mostTold).map(mistake => placed(document, mistake))
  const next = mistakes[mostTold]
  return next === undefined
    ? told
    : [...told, placed(document, { path: next.path, says: `from here on, ${mistakes.length - mostTold} more mistakes` })]
}

const placed = (document: FileDocument, { path, says }: Mistake): Problem => ({
  place: document.placeOf(path),
  path: path.reduce<string>(
    (before, step) =>
      typeof step === 'number' || !/^[\w@]+$/.test(step)
        ? `${before}[${JSON.stringify(step)}]`
        : before === ''
          ? step
          : `${before}.${step}`,
    '',
  ),
  says,
})
