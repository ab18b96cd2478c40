/** How many requests and connections are taken in, by which buckets and by whose count; which rate holds for what a limit tells apart. */

/** A bucket that each proxy keeps for itself. name: of the bucket; two routes with the same name share it. */
export type RateLimit = Rate & {
  readonly name: string
  /** A bucket for each combination of these; absent: one for all. What has none of one of them counts as having `-` there. */
  readonly by?: readonly LimitKey[]
  /** Other rates for some values: the first that fits. */
  readonly overrides?: readonly RateOverride[]
}

/** when: all of these; key: a place in `by`. */
export type RateOverride = Rate & { readonly when: readonly { readonly key: number; readonly values: readonly string[] }[] }

/** identity: the SPIFFE id that the caller proved. path: without the query. address: that the connection came from. */
export type LimitKey = { readonly type: LimitKeyType } | { readonly type: 'header' | 'query'; readonly name: string }

export type LimitKeyType = 'identity' | 'method' | 'path' | 'host' | 'address'

/** `requests` in every `intervalMs`, evenly; at most `burst` at once. */
export type Rate = { readonly requests: number; readonly intervalMs: number; readonly burst: number }

/** New connections of opaque bytes at one port; name: of the bucket. */
export type ConnectionLimit = Rate & { readonly name: string }

/**
 * What the service that counts for all proxies (`Listener.limitService`) is asked about each request.
 * name: `NAMESPACE/NAME` of the policy. failsOpen: without an answer the request goes on. rate: told to a service that is not the mesh's own.
 */
export type Quota = {
  readonly name: string
  readonly failsOpen: boolean
  readonly descriptors: readonly (readonly DescriptorEntry[])[]
  readonly rate?: Rate
}

/** A key with its value: a constant, or what the request has there. absent: the value where it has none; without it the descriptor is then left out. */
export type DescriptorEntry = { readonly key: string } & (
  | { readonly type: 'constant'; readonly value: string }
  | (LimitKey & { readonly absent?: string })
)

/** backend: a name in `View.backends`, or that of the control plane (`controlBackend`). */
export type LimitService = { readonly backend: string; readonly domain: string; readonly timeoutMs: number }

/** The control plane that this proxy is configured by, as something to call. */
export const controlBackend = 'weft-control'

/** What stands for a value that is not there. */
export const noValue = '-'

/** values: in the order of `by`. */
export function rateFor(limit: RateLimit, values: readonly string[]): Rate {
  return limit.overrides?.find(({ when }) => when.every(each => each.values.includes(values[each.key] ?? noValue))) ?? limit
}

/** No value of HTTP has this character in it. */
export const bucketName = (values: readonly string[]): string => (values.length === 1 ? values[0]! : values.join('\0'))

// What callers are told of a limit: draft-ietf-httpapi-ratelimit-headers-10.

export const policyField = (name: string, { requests, intervalMs }: Pick<Rate, 'requests' | 'intervalMs'>): string =>
  `"${name}";q=${requests};w=${seconds(intervalMs)}`
export const limitField = (name: string, remaining: number, resetMs: number): string => `"${name}";r=${remaining};t=${seconds(resetMs)}`

/** Of a header: whole, and never none. */
export const seconds = (ms: number): string => String(Math.max(1, Math.ceil(ms / 1000)))
