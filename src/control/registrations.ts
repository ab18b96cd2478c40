/** Which identities a process of this machine, or the holder of a certificate of others, is given: by the Registrations that fit. */

import { controlId, type SpiffeId, workloadId } from '#identity/spiffe'
import type { PeerProcess, ProcessFacts } from '#io/attest'
import type { Registration } from '#resources/weft'
import type { Authority } from './authority.ts'
import type { Store } from './store.ts'

/** hint: the name of the Registration. */
export type Entitled = { readonly identity: SpiffeId; readonly hint: string }

/** Nothing fits; the message is one sentence that says what was found and what to do. */
export class NobodyKnown extends Error {}

export type Registrations = {
  /** In the order of namespaces and names: the first is what one gets who does not choose. Throws NobodyKnown. */
  ofProcess(peer: PeerProcess): Promise<readonly Entitled[]>
  /** spiffeId: what the certificate proves. Throws NobodyKnown. */
  ofCertificate(spiffeId: string): readonly Entitled[]
}

export function registrationsIn(store: Store, { trustDomain, idTemplate }: Pick<Authority, 'trustDomain' | 'idTemplate'>): Registrations {
  // Whoever had the certificate of the control plane could be it to every proxy.
  const all = (): readonly Registration[] =>
    (store.list({ kind: { group: 'weft.dev', kind: 'Registration' } }).items as readonly Registration[])
      .filter(each => entitled(each).identity !== self)
      .toSorted((a, b) => (placeOf(a) < placeOf(b) ? -1 : 1))
  const self = controlId(trustDomain)
  const entitled = ({ metadata, spec }: Registration): Entitled => ({
    identity: workloadId(trustDomain, { namespace: metadata.namespace ?? 'default', serviceAccount: spec!.serviceAccount }, idTemplate),
    hint: metadata.name,
  })
  return {
    async ofProcess(peer) {
      const registered = all().filter(({ spec }) => spec?.process !== undefined)
      // A program is read whole only for somebody whom its digest may help.
      const mayFit = registered.filter(({ spec }) => spec!.process!.uid === undefined || spec!.process!.uid === peer.credentials.uid)
      const facts = await peer.facts(mayFit.some(({ spec }) => spec!.process!.sha256 !== undefined))
      const found = mayFit.filter(({ spec }) => fits(spec!.process!, facts))
      if (found.length === 0) throw new NobodyKnown(`no Registration fits ${told(facts)}; make one (weft apply), or let it join by a token`)
      return found.map(entitled)
    },
    ofCertificate(spiffeId) {
      const found = all().filter(({ spec }) => spec?.certificate?.spiffeId === spiffeId)
      if (found.length === 0) throw new NobodyKnown(`no Registration has the certificate ${spiffeId}; make one (weft apply)`)
      return found.map(entitled)
    },
  }
}

const placeOf = ({ metadata }: Registration): string => `${metadata.namespace} ${metadata.name}`

type Wanted = NonNullable<NonNullable<Registration['spec']>['process']>

/** What could not be found out fits nothing. */
export function fits({ cgroup, ...exact }: Wanted, facts: ProcessFacts): boolean {
  for (const [name, wanted] of Object.entries(exact)) if (facts[name as keyof typeof exact] !== wanted) return false
  const below = cgroup === '/' ? '/' : `${cgroup}/`
  return cgroup === undefined || facts.cgroup === cgroup || facts.cgroup?.startsWith(below) === true
}

function told({ pid, unknown, ...facts }: ProcessFacts): string {
  const said = Object.entries(facts).map(([name, value]) => `${name} ${value}`)
  return `process ${pid} (${[...said, ...unknown].join(', ')})`
}
