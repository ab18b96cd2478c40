/** A mesh of documents, asked what would become of calls: compiled by the compiler, explained by the same code as `weft explain request`. */

import { defaultIdTemplate, workloadIn } from '#base/id-template'
import { compile, type CompileOptions, viewFor } from '#compiler'
import { type CallSeen, pathLike } from '#model/calls'
import { arrive, explain, type Known, type KnownOf, type Question, type WayIn } from '#model/explain'
import type { RequestFacts } from '#model/match'
import { gatewayService, type Workload } from '#model/workload'
import type { Service } from '#resources/core'
import type { Resource } from '#resources/kind'
import { admit } from '#resources/validate'
import { nodeOf } from './inventory.ts'
import { type Outcome, outcomeOf, outcomeOfWays } from './outcome.ts'

/** idTemplate: of the ids of the mesh; absent: the default. */
export type WorldOptions = {
  readonly trustDomain: string
  readonly idTemplate?: string | undefined
  readonly workloads: readonly Workload[]
  readonly now: number
}

/** Whose roots are not known here: what may be called does not depend on them. */
const believed = (resources: readonly Resource[]): NonNullable<CompileOptions['domains']> =>
  Object.fromEntries(
    resources.flatMap(({ kind, metadata }) => (kind === 'TrustDomain' ? [[metadata.name, { roots: [''], told: [] }]] : [])),
  )

export class World {
  readonly resources: readonly Resource[]
  readonly workloads: readonly Workload[]
  readonly trustDomain: string
  readonly idTemplate: string
  /** Of the documents: what their statuses would say is wrong. */
  readonly refusals: readonly string[]
  /** Rules that look at what is not recorded of calls: headers, hosts, addresses, times. */
  readonly unseen: number
  readonly #mesh: ReturnType<typeof compile>['mesh']
  readonly #known = new Map<string, Known>()
  readonly #now: number

  /** resources: valid, with or without their defaults. */
  constructor(resources: readonly Resource[], { trustDomain, idTemplate = defaultIdTemplate, workloads, now }: WorldOptions) {
    this.resources = resources.map(admit).map(addressed)
    this.workloads = workloads
    this.trustDomain = trustDomain
    this.idTemplate = idTemplate
    this.#now = now
    const { mesh, statuses } = compile(
      this.resources,
      { workloads },
      { trustDomain, idTemplate, roots: [], now, domains: believed(this.resources) },
    )
    this.#mesh = mesh
    this.refusals = statuses.flatMap(({ kind, namespace, name, ancestors = [], parents = [] }) =>
      [...ancestors, ...parents]
        .flatMap(each => each.conditions)
        .filter(({ type, status }) => (type === 'Accepted' && status === 'False') || (type === 'PartiallyInvalid' && status === 'True'))
        .map(({ message }) => `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}: ${message}`),
    )
    const isUnseen = ({ on }: { readonly on: string }): boolean => on === 'header' || on === 'host' || on === 'address'
    this.unseen = mesh.guards
      .flatMap(({ rules }) => rules)
      .filter(({ from, to, when }) => when !== undefined || from.flat().some(isUnseen) || to.some(({ http }) => http.some(isUnseen))).length
  }

  /** from: a service or a workload, with .NAMESPACE where that is another; `gateway/NAME`; a SPIFFE id, also of somebody who does not run. */
  callerOf(from: string, namespace: string): Known | undefined {
    if (from.startsWith('spiffe://')) {
      const workload = this.workloads.find(({ identity }) => identity === from)
      return workload === undefined ? this.#stranger(from) : this.#knownOf(workload)
    }
    const name = from.startsWith('gateway/') ? gatewayService(from.slice('gateway/'.length)) : from
    const [first = '', space = namespace] = name.split('.')
    const inside = this.workloads.filter(each => each.namespace === space)
    const workload = inside.find(({ service }) => service === first) ?? inside.find(each => each.name === first)
    return workload && this.#knownOf(workload)
  }

  /** What becomes of a request, from its caller to the called workload. */
  ask(question: Question, caller: Known): Outcome {
    return outcomeOf(explain({ ...question, request: timed(question.request, this.#now) }, caller, this.#knownBy))
  }

  /** The same of a call that was seen, by the name of the called service; where it has none, what the called side says. undefined: nobody of that service runs. */
  askSeen(call: CallSeen): Outcome | undefined {
    const port = this.#servicePort(call)
    const caller = call.identity === '' ? undefined : this.callerOf(call.identity, '')
    // By which host somebody came to a Gateway is not recorded.
    const isEdge = this.workloads.some(({ identity, gateway }) => identity === call.identity && gateway !== undefined)
    if (port === undefined || caller === undefined || isEdge) return this.judgeSeen(call)
    const isUdp = call.protocol === 'udp'
    const request = requestOf(call, `${call.service}:${port}`)
    return this.ask({ name: call.service, port, ...(isUdp ? { transport: 'udp' } : {}), request }, caller)
  }

  /** What the rules of the called side say of a call that was seen. undefined: nobody of that service runs at that port. */
  judgeSeen(call: CallSeen): Outcome | undefined {
    const request = timed(requestOf(call, call.service), this.#now)
    const waysIn = (mtls: boolean): readonly WayIn[] =>
      this.workloads.flatMap((workload): readonly WayIn[] => {
        if (`${workload.service}.${workload.namespace}` !== call.service) return []
        const port = workload.ports.find(each => each.port === call.port && (each.protocol === 'udp') === (call.protocol === 'udp'))
        if (port?.bind === undefined) return []
        const endpoint = { ...port.bind, mtls, workload: `${workload.name}.${workload.namespace}` }
        return [arrive(endpoint, { identities: [] }, request, call.identity, this.#knownBy)]
      })
    const ways = waysIn(true)
    if (ways.length === 0) return undefined
    // Who proves nothing may have come by a published port, where nothing else is demanded: the rules are asked in any case.
    const isShut = call.identity === '' && waysIn(false).some(({ failure }) => failure?.code === 'identity-required')
    return { ...outcomeOfWays(ways), ...(isShut ? { demandsIdentity: true as const } : {}) }
  }

  readonly #knownBy: KnownOf = id => {
    const workload = this.workloads.find(each => `${each.name}.${each.namespace}` === id)
    return workload === undefined ? 'away' : this.#knownOf(workload)
  }

  #knownOf(workload: Workload): Known {
    const node = nodeOf(workload)
    let known = this.#known.get(node.id)
    if (known === undefined) this.#known.set(node.id, (known = { view: viewFor(this.#mesh, node), identity: workload.identity }))
    return known
  }

  /** Somebody of whom only the identity is known: a job that has ended, or one of another mesh. */
  #stranger(identity: string): Known {
    const { namespace = 'default', serviceAccount: service = 'stranger' } = workloadIn(identity, this.#mesh.trust.idTemplates) ?? {}
    return this.#knownOf({ name: identity, namespace, service, labels: {}, identity, ports: [], health: 'healthy' })
  }

  #servicePort({ service, port, protocol }: CallSeen): number | undefined {
    const found = this.resources.find(
      (each): each is Service => each.kind === 'Service' && `${each.metadata.name}.${each.metadata.namespace ?? 'default'}` === service,
    )
    const named = this.workloads
      .filter(each => `${each.service}.${each.namespace}` === service)
      .flatMap(({ ports }) => ports.filter(each => each.port === port).map(({ name }) => name))
    return found?.spec?.ports?.find(
      ({ port: own, targetPort = own, protocol: transport = 'TCP' }) =>
        (transport === 'UDP') === (protocol === 'udp') && (targetPort === port || named.includes(String(targetPort))),
    )?.port
  }
}

/** At the moment that is asked about, or else that of this world. */
const timed = (request: RequestFacts, now: number): RequestFacts => ({
  method: request.method,
  host: request.host,
  path: request.path,
  search: request.search,
  header: name => request.header(name),
  ...(request.claims === undefined ? {} : { claims: request.claims }),
  asked: { at: now, ...request.asked },
})

/** A request like those of a kind. */
function requestOf({ method, path, protocol }: CallSeen, host: string): RequestFacts {
  const header = (name: string): string | undefined =>
    name === 'host' ? host : name === 'content-type' && protocol === 'grpc' ? 'application/grpc' : undefined
  return { method: method || 'GET', host, path: pathLike(path || '/'), search: '', header }
}

/** The control plane gives each Service an address; in files any will do that is its own. */
function addressed(resource: Resource, at: number): Resource {
  const spec = resource.spec as { readonly clusterIP?: string } | undefined
  if (resource.kind !== 'Service' || spec?.clusterIP !== undefined) return resource
  return { ...resource, spec: { ...spec, clusterIP: `198.18.${(at >> 8) & 255}.${at & 255}` } }
}
