/** Who may ask what: rules, the conditions in them, and when they hold. */

/** What is denied comes first, then what is allowed. allow: absent: what is not denied is allowed; else what none of them allows is denied. audit: the same, but only counted. */
export type Access = {
  readonly deny: readonly AccessRule[]
  readonly allow?: readonly AccessRule[]
  readonly audit?: { readonly deny: readonly AccessRule[]; readonly allow?: readonly AccessRule[] }
}

/** name: `NAMESPACE/POLICY#RULE`. It holds where all conditions of one of `from` do (empty: everybody), and all of one of `to` (empty: everything). */
export type AccessRule = {
  readonly name: string
  readonly from: readonly (readonly AccessCondition[])[]
  readonly to: readonly (readonly AccessCondition[])[]
  /** Only at these times; absent: always. */
  readonly when?: readonly TimeWindow[]
}

/** All that it says. notBefore, notAfter: ms since the epoch, the second no more in it. weekly: days, 0 is Sunday; from, to: minutes since midnight in that zone of the IANA, from 0 up to 1440; with `to` before `from` into the next day. */
export type TimeWindow = {
  readonly notBefore?: number
  readonly notAfter?: number
  readonly weekly?: { readonly days: readonly number[]; readonly from: number; readonly to: number; readonly timeZone: string }
}

/**
 * One of `any` must fit; with `not` none of them. A header is compared value by value; without `any` it must be there. networks: CIDR.
 * isWhole: the header is one value, commas and all, for it is written from a claim.
 * claim: of a verified token, the way into it; of a list any element, of `scope` any word. It stands in `from` only.
 */
export type AccessCondition =
  | { readonly on: 'identity' | 'method' | 'path' | 'host'; readonly any: readonly TextMatch[]; readonly not?: true }
  | { readonly on: 'header'; readonly name: string; readonly any: readonly TextMatch[]; readonly not?: true; readonly isWhole?: true }
  | { readonly on: 'address'; readonly networks: readonly string[]; readonly not?: true }
  | { readonly on: 'claim'; readonly path: readonly string[]; readonly any: readonly TextMatch[]; readonly not?: true }

export type TextMatch = { readonly type: 'exact' | 'prefix' | 'suffix' | 'regex'; readonly value: string }
