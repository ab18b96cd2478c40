/** What DNS messages say, as plain data. */

/** Types that are understood (RFC 1035 §3.2.2, RFC 3596); any other number is carried as it is. */
export const dnsTypes = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  HTTPS: 65,
  ANY: 255,
} as const

/** RFC 1035 §4.1.1 and RFC 6895: what a reply says about the whole question. */
export const dnsCodes = {
  ok: 0,
  'format-error': 1,
  'server-failure': 2,
  'no-such-name': 3,
  'not-implemented': 4,
  refused: 5,
  'bad-version': 16,
} as const
export type DnsCode = keyof typeof dnsCodes

/** udpBytes: the largest reply that the asker can take over UDP. */
export type Edns = { readonly udpBytes: number; readonly wantsDnssec: boolean }

/** name: labels joined by dots, without the last dot, in the case of the asker; a dot or an unprintable byte in a label is written `\DDD`. type: see `dnsTypes`. class: 1 is the Internet. */
export type Question = { readonly name: string; readonly type: number; readonly class: number }

export type Query = {
  readonly id: number
  readonly isRecursionDesired: boolean
  readonly question: Question
  readonly edns: Edns | undefined
}

/** `refuse`: not a query that can be answered, send `reply`. `drop`: not a query at all; a reply to it could make two servers talk for ever. */
export type Incoming =
  | { readonly type: 'query'; readonly query: Query }
  | { readonly type: 'refuse'; readonly code: DnsCode; readonly reply: Uint8Array }
  | { readonly type: 'drop' }

/** The start of authority that goes with "no": how long it may be remembered is the smaller of `ttlSeconds` and `minimumSeconds` (RFC 2308 §5). */
export type Soa = {
  readonly zone: string
  readonly primary: string
  readonly mailbox: string
  readonly serial: number
  readonly ttlSeconds: number
  readonly minimumSeconds: number
}

/** Where a service is reached (RFC 2782). Of equal weight and first choice, all of them. */
export type Service = { readonly port: number; readonly target: string }

/**
 * addresses: dotted IPv4 with a question of type A, IPv6 with AAAA; services: with SRV; names: with PTR. With code `ok` and none of them the name exists but
 * has nothing of that type.
 */
export type Answer = {
  readonly code: DnsCode
  readonly addresses?: readonly string[]
  readonly services?: readonly Service[]
  readonly names?: readonly string[]
  readonly ttlSeconds?: number
  readonly soa?: Soa | undefined
  readonly isAuthoritative?: boolean
}

/** address: of A and AAAA. target: of CNAME, NS and PTR. data: the bytes of the record as they came. */
export type DnsRecord = {
  readonly name: string
  readonly type: number
  readonly class: number
  readonly ttlSeconds: number
  readonly address?: string
  readonly target?: string
  readonly data: Uint8Array
}

/** code: the name of the response code, or its number where it has none here. */
export type Reply = {
  readonly id: number
  readonly code: DnsCode | number
  readonly isTruncated: boolean
  readonly isAuthoritative: boolean
  readonly question: Question | undefined
  readonly answers: readonly DnsRecord[]
  readonly authority: readonly DnsRecord[]
}
