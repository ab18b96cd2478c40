/** What holds for the calls to a service port, for everybody or for some clients: the Mesh's defaults, and BackendPolicies from the widest to the narrowest. */

import type { Backend } from '#model/backend'
import type { Layer } from '#model/mesh'
import type { TlsProfile } from '#model/tls'
import { durationMs } from '#resources/duration'
import type { BackendPolicy, BackendPolicySpec, MeshResource } from '#resources/weft'
import { type Choosing, choosingOf } from './balance.ts'
import { type LedTo, ledToAt, whyNotAt } from './fallbacks.ts'
import { specOf } from './fields.ts'
import { checkedAt, type Checking, checkingOf, whyNoCheck } from './health-checks.ts'
import { layerOf } from './layers.ts'
import { merge } from './merge.ts'
import { isHttp } from '../services/protocol.ts'
import { type Resilience, resilienceOf } from './resilience.ts'
import { type ServicePort, whyNobody } from '../services/services.ts'
import type { ResourceStatus } from '../status.ts'
import { state, statusFor } from '../status.ts'
import type { Judging, Targets } from './targets.ts'

export type Calling = { readonly connectTimeoutMs: number } & Choosing & Resilience & Checking & Pick<Backend, 'fallback'>
export type Policies = {
  /** Of the Mesh. */
  readonly mtls: 'strict' | 'permissive'
  /** What mutual TLS between proxies agrees on. */
  readonly profile: TlsProfile
  /** The one that counts most first; the last is the Mesh's. */
  readonly layersOf: (port: ServicePort) => readonly Layer[]
  /** Of the Meshes. */
  readonly statuses: readonly ResourceStatus[]
}

const builtIn: Calling = { balance: 'least-request', hash: [], near: undefined, connectTimeoutMs: 5000 }

export const judgingBackends: Judging<BackendPolicy> = {
  unable: ({ spec }, field, { port, carriers }) => {
    if (field === 'sessionPersistence') return 'a session is kept by a route: write sessionPersistence there'
    if (port === undefined) return undefined
    if (!carriers.includes('requests')) {
      if (field === 'balance' && spec?.hash?.every(each => each.sourceIP === undefined) === true)
        return 'nothing of a request is seen there: only sourceIP can be in hash'
      if (field === 'retryConstraint') return 'it is for requests of HTTP, which are not seen there'
      // A session of datagrams counts as one request.
      if (field === 'limits' && carriers.includes('connections') && isWithout(spec?.limits, 'connections'))
        return 'requests are not seen there: only limits.connections can be kept'
    }
    if (field === 'healthCheck') return whyNoCheck(spec?.healthCheck, port.protocol)
    if (field === 'fallback') return whyNotAt(spec?.fallback as unknown as LedTo, port.protocol)
    if (field !== 'adaptiveConcurrency') return undefined
    return isHttp(port.protocol) ? whyNobody(port) : 'requests are not told apart there'
  },
}

/** Limits that say something, but not this one; with none at all they take back what is said more widely. */
const isWithout = (limits: BackendPolicySpec['limits'], one: keyof NonNullable<BackendPolicySpec['limits']>): boolean =>
  limits !== undefined && Object.values(limits).some(each => each !== undefined) && limits[one] === undefined

/** meshes: the one that counts is named `default`. uncounted: why the service that it names for rate limits cannot be asked. */
export function findPolicies(
  meshes: readonly MeshResource[],
  targets: Targets<BackendPolicy>,
  trustDomain: string,
  uncounted?: string,
): Policies {
  const mesh = meshes.find(each => each.metadata.name === 'default')
  const statuses: ResourceStatus[] = meshes.map(each => {
    const other = each.spec?.trustDomain
    const fits = other === undefined || other === trustDomain
    const says = fits ? 'The settings hold' : `spec.trustDomain cannot be changed: it is ${trustDomain}; the other settings hold`
    const accepted = state(each, 'Accepted', fits, fits ? 'Accepted' : 'UnsupportedValue', says)
    const isPartly = each === mesh && uncounted !== undefined
    return statusFor(each, {
      conditions: isPartly
        ? [accepted, state(each, 'PartiallyInvalid', true, 'UnsupportedValue', `${uncounted}; no global limit holds`)]
        : [accepted],
    })
  })
  const { balance, ...others } = mesh?.spec?.defaults ?? {}
  const says = { ...others, ...(balance === undefined ? {} : { balance: { balance } }) }
  const widest: readonly Layer[] = mesh?.spec?.defaults === undefined ? [] : [{ policy: 'Mesh default', says }]
  return {
    mtls: mesh?.spec?.mtls?.mode ?? 'permissive',
    profile: mesh?.spec?.mtls?.profile ?? 'modern',
    statuses,
    layersOf: port => [...targets.ofPort(port).map(layerOf), ...widest],
  }
}

/** layers: of one client. */
export function callingAt(layers: readonly Layer[], { protocol }: Pick<ServicePort, 'protocol'>): Calling {
  const said = specOf('BackendPolicy', merge(layers)) as Partial<Omit<BackendPolicySpec, 'targetRefs'>>
  const { healthCheck: _, ...calling }: Calling = {
    ...choosingOf(builtIn, said),
    connectTimeoutMs: said.connectTimeout === undefined ? builtIn.connectTimeoutMs : durationMs(said.connectTimeout),
    ...resilienceOf(builtIn, said),
  }
  const fallback = ledToAt(said.fallback as unknown as LedTo | undefined, protocol)
  return { ...calling, ...(fallback === undefined ? {} : { fallback }), ...checkedAt(checkingOf({}, said), protocol) }
}
