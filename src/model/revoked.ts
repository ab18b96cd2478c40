/** Who is revoked: the same answer in the control plane, which gives nothing more, and in each proxy, which believes nothing more. */

import type { TextMatch } from './access-rule.ts'
import { wholly } from './expression.ts'
import type { Revoked } from './trust.ts'

/** The first entry that names the identity, or the certificate; undefined: none. serial: lower-case hex. */
export function isRevoked(all: readonly Revoked[], identity: string, serial?: string): Revoked | undefined {
  if (all.length === 0) return undefined
  const { matches, serials } = indexOf(all)
  const bySerial = serial === undefined ? undefined : serials.get(serial)
  return bySerial ?? matches.find(({ fits }) => fits(identity))?.of
}

/** For logs and answers: `was revoked by Revocation NAME (KeyCompromise)`. */
export const tellRevoked = ({ by, reason }: Revoked): string => `was revoked by Revocation ${by} (${reason})`

type Index = {
  readonly serials: ReadonlyMap<string, Revoked>
  readonly matches: readonly { readonly fits: (identity: string) => boolean; readonly of: Revoked }[]
}
const indexes = new WeakMap<readonly Revoked[], Index>()

function indexOf(all: readonly Revoked[]): Index {
  const known = indexes.get(all)
  if (known !== undefined) return known
  const index: Index = {
    serials: new Map(all.flatMap(each => ('serial' in each ? [[each.serial, each] as const] : []))),
    matches: all.flatMap(each => ('identity' in each ? [{ fits: fitting(each.identity), of: each }] : [])),
  }
  indexes.set(all, index)
  return index
}

function fitting({ type, value }: TextMatch): (identity: string) => boolean {
  switch (type) {
    case 'exact':
      return identity => identity === value
    case 'prefix':
      return identity => identity.startsWith(value)
    case 'suffix':
      return identity => identity.endsWith(value)
    case 'regex':
      return wholly(value)
  }
}
