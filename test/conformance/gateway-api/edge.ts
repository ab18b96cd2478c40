/** Gateways of Gateway API's conformance tests: `weft gateway` processes before workloads of a mesh of ours, and how their requests are made and judged. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { KindPath } from '../../../src/api/client.ts'
import { canCapture } from '../../../src/io/namespace.ts'
import type { Resource } from '../../../src/resources/kind.ts'
import { active } from '../../harness/front.ts'
import { kinds, Mesh, type Running } from '../../harness/mesh.ts'
import { call, fetchFrom, type Asked, type Reply } from './edge-clients.ts'
import { ports } from './edge-pods.ts'

export const group = 'gateway.networking.k8s.io'
/** Where the Gateways and most backends are, and two namespaces beside it. */
export const own = 'edge'
export const web = 'web'
export const app = 'app'

const verdict = await canCapture()
const hasOpenssl = (() => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()
/** Why these tests cannot be run here; false: they can. */
export const skip = !verdict.ok ? `${verdict.why}: ${verdict.remedy}` : hasOpenssl ? false : 'openssl is not on this machine'

/** Ports below 1024 are for root only; elsewhere others stand for them, and what is said of the usual ports is not judged. */
export const hasUsualPorts = process.getuid?.() === 0
export const at = (port: number): number => (hasUsualPorts ? port : port + 20_000)

export const names = ['first', 'second', 'third'] as const
export type Name = (typeof names)[number]

/** What is sent to a Gateway, and what is expected. sent: what arrives at the pod, where it is not what was asked. */
export type Case = Asked & {
  readonly gateway?: Name
  readonly port?: number
  readonly status?: number | readonly number[]
  readonly pod?: string
  readonly namespace?: string
  readonly sent?: {
    readonly path?: string
    readonly host?: string
    readonly sni?: string
    readonly headers?: Readonly<Record<string, string>>
  }
  readonly absent?: readonly string[]
  /** Fields of the answer; undefined: not there; a list: one of them. Spaces after commas do not count. */
  readonly answer?: Readonly<Record<string, string | readonly string[] | undefined>>
  /** Parts of Location; what is not named is as it was asked. */
  readonly location?: { readonly scheme?: string; readonly host?: string; readonly port?: string; readonly path?: string }
}
export type Stated = {
  readonly conditions?: readonly {
    readonly type: string
    readonly status: string
    readonly reason: string
    readonly message: string
    readonly observedGeneration?: number
  }[]
}
export type ListenerStated = Stated & {
  readonly name: string
  readonly attachedRoutes: number
  readonly supportedKinds: readonly { readonly kind: string }[]
}

export class Edge implements AsyncDisposable {
  readonly mesh: Mesh
  readonly #proxies = new Map<Name, Running>()
  readonly #pods = new Map<string, Running>()
  /** Two tests at once, and two runs, have addresses of their own. */
  readonly #net = `127.${randomInt(10, 250)}.${randomInt(1, 250)}`

  private constructor(mesh: Mesh) {
    this.mesh = mesh
  }

  /** With so many proxies: of the first, of the first two. */
  static async start(proxies: number): Promise<Edge> {
    await using owned = new AsyncDisposableStack()
    const mesh = owned.use(await Mesh.start())
    const edge = new Edge(mesh)
    edge.certify('server', serverNames)
    for (const [name, labels] of [
      [own, { team: 'infra' }],
      [web, { team: 'backend' }],
      [app, { team: 'backend' }],
    ] as const)
      await edge.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } } as unknown as Resource)
    edge.certify('partner', ['partner'])
    edge.certify('stranger', ['stranger'])
    for (const namespace of [own, web, app]) edge.#run(namespace)
    for (const name of names.slice(0, proxies)) {
      await edge.apply(edge.gateway(name, [{ name: 'http', port: at(80), protocol: 'HTTP' }]))
      edge.#proxies.set(name, mesh.gateway(name, ['--namespace', own, '--address', edge.address(name)]))
    }
    for (const namespace of [own, web, app]) await mesh.healthy('pods', 1, namespace)
    for (const document of services()) await edge.apply(document)
    owned.move()
    return edge
  }

  address(name: Name): string {
    return `${this.#net}.${names.indexOf(name) + 10}`
  }

  /** A Gateway that the proxy of that name carries out. */
  gateway(name: Name, listeners: readonly object[], more: object = {}): Resource {
    return {
      apiVersion: `${group}/v1`,
      kind: 'Gateway',
      metadata: { name, namespace: own },
      spec: { gatewayClassName: 'weft', addresses: [{ value: this.address(name) }], listeners, ...more },
    } as unknown as Resource
  }

  #run(namespace: string): void {
    const program = [process.execPath, '--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'edge-pods.ts')]
    const protocols = { http: 'http', h2c: 'http2', grpc: 'grpc', tcp: 'tcp', tls: 'tls', udp: 'udp', https: 'tls' } as const
    const flags = Object.entries(ports).flatMap(([kind, port]) =>
      [0, 1, 2].flatMap(pod => ['--port', `${port + pod}/${protocols[kind as keyof typeof ports]}`]),
    )
    const env = { NAMESPACE: namespace, CERT: this.file('server.crt'), KEY: this.file('server.key'), CLIENT_CA: this.file('partner.crt') }
    this.#pods.set(
      namespace,
      this.mesh.run(`pods-${namespace}`, program, { flags: ['--namespace', namespace, '--service', 'pods', ...flags], env }),
    )
  }

  file(name: string): string {
    return join(this.mesh.folder, name)
  }
  read(name: string): string {
    return readFileSync(this.file(name), 'utf8')
  }

  /** A key and a certificate of its own for it, as NAME.key and NAME.crt; names with a scheme are URIs. */
  certify(name: string, subjects: readonly string[]): void {
    const alt = subjects.map(each => (each.includes('://') ? `URI:${each}` : `DNS:${each}`)).join()
    const request = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=${name}`.split(' ')
    const files = ['-keyout', this.file(`${name}.key`), '-out', this.file(`${name}.crt`)]
    execFileSync('openssl', [...request, '-addext', `subjectAltName=${alt}`, ...files], { stdio: 'ignore' })
  }

  secret(name: string, of: string, namespace = own): Resource {
    const data = Object.fromEntries(['crt', 'key'].map(end => [`tls.${end}`, Buffer.from(this.read(`${of}.${end}`)).toString('base64')]))
    return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, type: 'kubernetes.io/tls', data } as unknown as Resource
  }
  authority(name: string, of: string, namespace = own): Resource {
    return {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace },
      data: { 'ca.crt': this.read(`${of}.crt`) },
    } as unknown as Resource
  }

  async apply(document: Resource): Promise<Resource> {
    const { resource } = await this.mesh.client.apply(kindOf(document), document, { force: true })
    if (this.#pods.size > 0) await active(this.mesh, Number(resource.metadata.resourceVersion))
    return resource
  }
  async remove({ kind, metadata }: Resource): Promise<void> {
    await this.mesh.client.delete(kindOf({ kind }), metadata.name, { namespace: metadata.namespace })
  }

  /** Applies the documents of one conformance test in their order, waits for the Gateways among them, runs it, and takes them away, the last first. */
  async with(documents: readonly Resource[], run: () => Promise<void>): Promise<void> {
    const written: Resource[] = []
    try {
      for (const document of documents) {
        const isNew = document.kind !== 'Gateway' || !this.#proxies.has(document.metadata.name as Name)
        if (isNew) written.unshift(document)
        await this.apply(document)
      }
      for (const { kind, metadata } of documents)
        if (kind === 'Gateway' && this.#proxies.has(metadata.name as Name)) await this.settled(metadata.name as Name)
      await run()
    } finally {
      for (const document of written) await this.remove(document)
    }
  }

  /** The proxy has opened what can be opened of it. */
  async settled(name: Name): Promise<void> {
    await this.mesh.until(`Gateway ${name} to be settled`, async () => {
      const [programmed] = ofType(await this.status('Gateway', name), 'Programmed')
      return programmed !== undefined && programmed.reason !== 'Pending'
    })
  }

  async status(
    kind: string,
    name: string,
    namespace = own,
  ): Promise<Stated & { readonly listeners?: readonly ListenerStated[]; readonly parents?: readonly never[] }> {
    return ((await this.mesh.client.get(kindOf({ kind }), name, { namespace })).status ?? {}) as never
  }

  /** `True Accepted`, of a condition; the words of all that are asked for, in their order. */
  async says(kind: string, name: string, types: readonly string[], namespace = own): Promise<readonly string[]> {
    return words(await this.status(kind, name, namespace), types)
  }
  async listener(kind: string, name: string, listener: string, namespace = own): Promise<ListenerStated> {
    const found = (await this.status(kind, name, namespace)).listeners?.find(each => each.name === listener)
    assert.ok(found !== undefined, `${kind} ${name} says nothing of listener ${listener}`)
    return found
  }
  /** What the parent says of a route. parent: NAME, KIND/NAME, or either with #SECTION. */
  async verdict(kind: string, name: string, parent: string, types: readonly string[] = ['Accepted', 'ResolvedRefs'], namespace = own) {
    const [path = '', section] = parent.split('#')
    const [of, parentName] = path.includes('/') ? path.split('/') : ['Gateway', path]
    type Parent = Stated & { readonly parentRef: { readonly kind: string; readonly name: string; readonly sectionName?: string } }
    const parents = ((await this.status(kind, name, namespace)).parents ?? []) as readonly Parent[]
    const found = parents.find(
      ({ parentRef: ref }) => ref.kind === of && ref.name === parentName && (section === undefined || ref.sectionName === section),
    )
    assert.ok(found !== undefined, `${kind} ${name} says nothing of ${parent}: ${JSON.stringify(parents)}`)
    return words(found, types)
  }

  ask({ gateway = 'first', port = 80, ...asked }: Case): Promise<Reply> {
    return fetchFrom(this.address(gateway), at(port), { ca: this.read('server.crt'), ...asked })
  }
  call(asked: {
    readonly gateway?: Name
    readonly port?: number
    readonly authority?: string
    readonly headers?: Readonly<Record<string, string>>
    readonly method?: string
  }) {
    return call(`${this.address(asked.gateway ?? 'first')}:${at(asked.port ?? 80)}`, asked)
  }

  async expect(each: Case): Promise<Reply> {
    const reply = await this.ask(each)
    const about = JSON.stringify({ asked: each, reply })
    const { status = each.location === undefined ? 200 : 302, pod, namespace, sent, absent = [], answer = {}, location } = each
    assert.ok([status].flat().includes(reply.status), about)
    const { echo } = reply
    if (pod !== undefined) assert.equal(echo?.pod, pod, about)
    if (namespace !== undefined) assert.equal(echo?.namespace, namespace, about)
    for (const part of ['path', 'host', 'sni'] as const) if (sent?.[part] !== undefined) assert.equal(echo?.[part], sent[part], about)
    for (const [name, value] of Object.entries(sent?.headers ?? {})) assert.equal(echo?.headers[name.toLowerCase()], value, about)
    for (const name of absent) assert.equal(echo?.headers[name.toLowerCase()], undefined, about)
    for (const [name, wanted] of Object.entries(answer)) {
      const got = reply.headers[name.toLowerCase()]?.replaceAll(', ', ',')
      assert.ok(Array.isArray(wanted) ? wanted.includes(got ?? '') : got === wanted, `${name}: ${about}`)
    }
    if (location !== undefined) {
      const found = new URL(reply.headers['location'] ?? '')
      const { scheme = 'http', host = each.host ?? this.address(each.gateway ?? 'first'), port = '', path = each.path ?? '/' } = location
      assert.deepEqual([found.protocol, found.hostname, found.port, found.pathname], [`${scheme}:`, host, port, path], about)
    }
    return reply
  }

  /** The address of the pods of a namespace themselves. */
  async podAddress(namespace = own): Promise<string> {
    const { items } = await this.mesh.client.list(kinds.workload, { namespace, labelSelector: 'app=pods' })
    return (items[0]!.status as { readonly meshAddress: string }).meshAddress
  }

  /** How often a pod of the namespace has had something of that path. */
  seen(pod: string, text: string): number {
    return this.#pods
      .get(own)!
      .stdout.split('\n')
      .filter(line => line.startsWith(`${pod} `) && line.includes(text)).length
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.mesh[Symbol.asyncDispose]()
  }
}

const ofType = ({ conditions = [] }: Stated, type: string) => conditions.filter(each => each.type === type)
const words = (stated: Stated, types: readonly string[]): readonly string[] =>
  types.map(type => {
    const [found] = ofType(stated, type)
    return found === undefined ? 'nothing' : `${found.status} ${found.reason}`
  })

const clusterWide: ReadonlySet<string> = new Set(['GatewayClass', 'Namespace'])
const plurals: Readonly<Record<string, string>> = { GatewayClass: 'gatewayclasses', BackendTLSPolicy: 'backendtlspolicies' }
const core: ReadonlySet<string> = new Set(['Secret', 'ConfigMap', 'Service', 'Namespace'])
const groups: Readonly<Record<string, string>> = { EndpointSlice: 'discovery.k8s.io' }
const kindOf = ({ kind }: Pick<Resource, 'kind'>): KindPath => ({
  group: core.has(kind) ? '' : (groups[kind] ?? group),
  version: kind === 'ReferenceGrant' ? 'v1beta1' : kinds.httpRoute.version,
  plural: plurals[kind] ?? `${kind.toLowerCase()}s`,
  namespaced: !clusterWide.has(kind),
})

/** What the certificate of the servers and of the Gateways names. */
const serverNames = [
  'example.org',
  'second-example.org',
  'unknown-example.org',
  '*.wildcard.org',
  '*.example.com',
  'secure.test.com',
  'example.com',
  '*.example.org',
  'spiffe://abc.example.com/test-identity',
]

/** Pods as Services: one on 8080 (HTTP), 8081 (HTTP/2 from the first byte) and 8082 (WebSocket); calls-one, bytes-one, sealed-one (TLS), datagrams-one, secure-one (HTTPS). */
function services(): readonly Resource[] {
  const service = (name: string, namespace: string, list: readonly object[]): Resource =>
    ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace },
      spec: { selector: { app: 'pods' }, ports: list },
    }) as unknown as Resource
  return [own, web, app].flatMap(namespace =>
    ['one', 'two', 'three'].flatMap((pod, index) => [
      service(pod, namespace, [
        { name: 'first-port', port: 8080, targetPort: ports.http + index },
        { name: 'second-port', port: 8081, targetPort: ports.h2c + index, appProtocol: 'kubernetes.io/h2c' },
        { name: 'third-port', port: 8082, targetPort: ports.http + index, appProtocol: 'kubernetes.io/ws' },
      ]),
      service(`calls-${pod}`, namespace, [{ port: 8080, targetPort: ports.grpc + index, appProtocol: 'kubernetes.io/h2c' }]),
      service(`bytes-${pod}`, namespace, [{ port: 3000, targetPort: ports.tcp + index }]),
      service(`sealed-${pod}`, namespace, [{ port: 443, targetPort: ports.tls + index }]),
      service(`datagrams-${pod}`, namespace, [{ port: 8080, targetPort: ports.udp + index, protocol: 'UDP' }]),
    ]),
  )
}

type Parent = { readonly name: string; readonly [more: string]: unknown }
type More = {
  readonly kind?: string
  readonly name?: string
  readonly namespace?: string
  readonly hostnames?: readonly string[]
  readonly parents?: readonly Parent[]
}

/** A route at the Gateway `first`, unless other parents are named. */
export const route = (
  rules: readonly object[],
  { kind = 'HTTPRoute', name = 'case', namespace = own, hostnames, parents = [{ name: 'first' }] }: More = {},
): Resource =>
  ({
    apiVersion: `${group}/v1`,
    kind,
    metadata: { name, namespace },
    spec: { parentRefs: parents.map(each => ({ namespace: own, ...each })), ...(hostnames === undefined ? {} : { hostnames }), rules },
  }) as unknown as Resource
export const to = (name: string, port = 8080, more: object = {}): object => ({ name, port, ...more })
/** Everything to a pod. */
export const all = (name: string, port = 8080, more: object = {}): readonly object[] => [{ backendRefs: [to(name, port, more)] }]
export const prefix = (value: string): object => ({ path: { type: 'PathPrefix', value } })
export const below = (path: string, name: string, more: object = {}): object => ({
  matches: [prefix(path)],
  backendRefs: [to(name)],
  ...more,
})
export const grant = (
  from: string,
  kind = 'HTTPRoute',
  target: object = { group: '', kind: 'Service' },
  more: { name?: string; namespace?: string; group?: string } = {},
): Resource =>
  ({
    apiVersion: `${group}/v1beta1`,
    kind: 'ReferenceGrant',
    metadata: { name: more.name ?? 'grant', namespace: more.namespace ?? web },
    spec: { from: [{ group: more.group ?? group, kind, namespace: from }], to: [target] },
  }) as unknown as Resource
/** A listener that takes routes of its own namespace, at the port that stands for the usual one. */
export const listener = (name: string, protocol: string, port: number, more: object = {}): object => ({
  name,
  protocol,
  port: at(port),
  ...more,
})
export const fromAll = { allowedRoutes: { namespaces: { from: 'All' } } }
export const https = (name: string, port: number, more: object = {}): object =>
  listener(name, 'HTTPS', port, { tls: { certificateRefs: [{ group: '', kind: 'Secret', name: 'server' }] }, ...more })
