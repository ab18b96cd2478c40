/** What of a revocation can be seen to do nothing: refused where that is certain, told where the mesh just knows nobody of it. */

import type { ControlStatus } from '#api/mesh-api'
import { controlPath } from '#base/id-template'
import { fits, type Subject } from './subject.ts'

type Known = Pick<ControlStatus, 'trustDomain' | 'proxies'> & {
  readonly trust?: { readonly domains: readonly { readonly trustDomain: string }[] }
}

/** A sentence; undefined: it can be carried out. */
export function whyInVain({ identities = [], trustDomains = [] }: Subject, trustDomain: string): string | undefined {
  const control = `spiffe://${trustDomain}${controlPath}`
  if (identities.includes(control))
    return `${control} is the control plane itself, which is not revoked by what it hands out: replace its root with weft cert rotate-root`
  if (trustDomains.includes(trustDomain))
    return `--trust-domain ${trustDomain} is the mesh itself: revoke its namespaces, or replace its root with weft cert rotate-root`
  return undefined
}

/** A sentence for each part that names nobody who is known now. nearest: of those, the one that was perhaps meant. */
export function doubtsOf(
  { identities = [], serials = [], trustDomains = [] }: Subject,
  { trustDomain, proxies, trust }: Known,
  nearest: (text: string, of: readonly string[]) => string | undefined,
): readonly string[] {
  const known = [...new Set(proxies.map(each => each.identity))].filter(each => each !== '')
  const believed = [trustDomain, ...(trust?.domains ?? []).map(each => each.trustDomain)]
  const meant = (identity: string): string => {
    const last = lastOf(identity)
    const named = proxies.find(each => each.workload === last && each.identity !== '')
    if (named !== undefined) return `; ${last} is a workload whose identity is ${named.identity}`
    // Workloads are often called by their service and more.
    const near = known.map(lastOf).find(each => last.startsWith(`${each}-`)) ?? nearest(last, known.map(lastOf))
    return near === undefined ? '' : `; the nearest is ${known.find(each => lastOf(each) === near)}`
  }
  return [
    ...identities.flatMap(identity => {
      const domain = /^spiffe:\/\/([^/]+)/.exec(identity)?.[1] ?? ''
      // Of the workloads of others nothing is known here.
      if (domain !== trustDomain) return believed.includes(domain) ? [] : [`the trust domain ${domain} is not believed anyway`]
      return known.some(each => fits(identity, each)) ? [] : [`no known workload has the identity ${identity}${meant(identity)}`]
    }),
    ...serials
      .filter(serial => !proxies.some(({ certificate }) => certificate?.serial === serial))
      .map(serial => `no known workload shows a certificate with the serial ${serial}: weft cert doctor -o json tells those in use`),
    ...trustDomains.filter(domain => !believed.includes(domain)).map(domain => `the trust domain ${domain} is not believed anyway`),
  ]
}

const lastOf = (identity: string): string => identity.slice(identity.lastIndexOf('/') + 1)
