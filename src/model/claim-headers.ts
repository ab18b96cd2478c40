/** Headers that are written from claims of verified tokens. Pure, the same in the compiler and the proxy. */

import type { Access, AccessCondition, AccessRule } from './access-rule.ts'
import type { Listener } from './listener.ts'

/** What servers of CGI's kind take for the same name of a header (RFC 3875 §4.1.18, and what became of it): whatever is no letter and no digit is `_` to them. */
export function plainName(name: string): string {
  const lower = name.toLowerCase()
  return odd.test(lower) ? lower.replaceAll(/[^a-z0-9]/g, '-') : lower
}
const odd = /[^a-z0-9-]/

/** By plain name. */
export const claimHeadersAt = ({ tokens = [], logins = [] }: Pick<Listener, 'tokens' | 'logins'>): ReadonlySet<string> =>
  new Set(
    [...tokens.flatMap(({ issuers }) => issuers), ...logins].flatMap(({ claimsToHeaders }) =>
      claimsToHeaders.map(({ header }) => plainName(header)),
    ),
  )

/**
 * Whoever may choose a claim may write commas into it, and is not let in for what stands between them: what lets in takes such headers as one value.
 * What shuts out finds each value still. names: by plain name.
 */
export function wholeClaims(access: Access, names: ReadonlySet<string>): Access {
  if (names.size === 0) return access
  const wholeIn =
    (denies: boolean) =>
    (rule: AccessRule): AccessRule => {
      const isOne = (each: AccessCondition): boolean =>
        each.on === 'header' && each.any.length > 0 && (each.not === true) === denies && names.has(plainName(each.name))
      if (!rule.to.some(all => all.some(isOne))) return rule
      return { ...rule, to: rule.to.map(all => all.map(each => (isOne(each) && each.on === 'header' ? { ...each, isWhole: true } : each))) }
    }
  const both = ({ deny, allow }: Pick<Access, 'deny' | 'allow'>) => ({
    deny: deny.map(wholeIn(true)),
    ...(allow === undefined ? {} : { allow: allow.map(wholeIn(false)) }),
  })
  return { ...access, ...both(access), ...(access.audit === undefined ? {} : { audit: both(access.audit) }) }
}
