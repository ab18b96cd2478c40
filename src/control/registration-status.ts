/** What a Registration comes to, in its status: whether this control plane attests in the way that it asks for, and which identity it gives. */

import type { Clock } from '#base/clock'
import { controlId, workloadId } from '#identity/spiffe'
import type { Registration } from '#resources/weft'
import type { Store } from './store.ts'

const kind = { group: 'weft.dev', kind: 'Registration' }

export type Attesting = {
  readonly store: Store
  readonly trustDomain: string
  /** The form of the mesh's SPIFFE ids. */
  readonly idTemplate: string
  /** Whether it attests processes, and certificates of others. */
  readonly processes: boolean
  readonly certificates: boolean
  readonly clock: Clock
}

/** For those that are there, and each that comes or changes; the returned function ends it. */
export function tellRegistrations(attesting: Attesting): () => void {
  const { store } = attesting
  const end = store.watch(store.revision, { kind }, ({ type, resource }) => {
    if (type !== 'DELETED') tell(attesting, resource as Registration)
  })
  for (const resource of store.list({ kind }).items) tell(attesting, resource as Registration)
  return end
}

function tell({ store, trustDomain, idTemplate, processes, certificates, clock }: Attesting, resource: Registration): void {
  const { spec, metadata, status } = resource
  if (spec === undefined) return
  const namespace = metadata.namespace ?? 'default'
  const identity = workloadId(trustDomain, { namespace, serviceAccount: spec.serviceAccount }, idTemplate)
  const isOwn = identity === controlId(trustDomain)
  const isServed = spec.process === undefined ? certificates : processes
  const flag = spec.process === undefined ? '--attest-roots' : '--attest-socket'
  const said = {
    type: 'Accepted',
    status: isServed && !isOwn ? ('True' as const) : ('False' as const),
    reason: isOwn ? 'Reserved' : isServed ? 'Accepted' : 'NotAttested',
    message: isOwn
      ? `Nobody gets an identity by this: ${identity} is the control plane itself`
      : isServed
        ? `Who proves this is ${identity}`
        : `Nobody gets an identity by this: the control plane runs without ${flag}`,
    ...(metadata.generation === undefined ? {} : { observedGeneration: metadata.generation }),
  }
  const before = status?.conditions?.find(({ type }) => type === said.type)
  if (before !== undefined && Object.entries(said).every(([name, value]) => before[name as keyof typeof before] === value)) return
  const since = before?.status === said.status ? before.lastTransitionTime : new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z')
  store.updateStatus({ ...resource, status: { conditions: [{ ...said, lastTransitionTime: since }] } })
}
