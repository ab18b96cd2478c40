/** What a decision about access costs: `node bench/access.ts [SECONDS]` prints nanoseconds for each, with no rules, with one up to thousands, what a new caller costs, and what memory grew by. */

import process from 'node:process'
import type { Access, AccessCondition, AccessRule } from '../src/model/access-rule.ts'
import { accessOf } from '../src/model/access.ts'
import type { RequestFacts } from '../src/model/match.ts'

const secondsEach = Number(process.argv[2] ?? 1)
const caller = 'spiffe://weft.local/ns/shop/sa/web'

const byIdentity = (nth: number): readonly (readonly AccessCondition[])[] => [
  [{ on: 'identity', any: [{ type: 'exact', value: `spiffe://weft.local/ns/shop/sa/other-${nth}` }] }],
]
const ours: readonly (readonly AccessCondition[])[] = [[{ on: 'identity', any: [{ type: 'exact', value: caller }] }]]
const byRequest = (nth: number): readonly (readonly AccessCondition[])[] => [
  [
    {
      on: 'method',
      any: [
        { type: 'exact', value: 'GET' },
        { type: 'exact', value: 'POST' },
      ],
    },
    {
      on: 'path',
      any: [
        { type: 'exact', value: `/api/v${nth}` },
        { type: 'prefix', value: `/api/v${nth}/` },
      ],
    },
  ],
]
const rules = (count: number, from: (nth: number) => AccessRule['from'], to: (nth: number) => AccessRule['to']): readonly AccessRule[] =>
  Array.from({ length: count }, (_, nth) => ({ name: `shop/policy-${nth}#0`, from: from(nth), to: to(nth) }))

const only = (to: (nth: number) => AccessRule['to']): Access => ({ deny: [], allow: rules(1000, () => ours, to) })

/** The one that holds is always the last. */
const cases: readonly (readonly [string, Access | undefined])[] = [
  ['no rules', undefined],
  [
    '10 rules of identity',
    {
      deny: [],
      allow: rules(
        10,
        nth => (nth === 9 ? ours : byIdentity(nth)),
        () => [],
      ),
    },
  ],
  ['10 rules of method and path', { deny: [], allow: rules(10, () => ours, byRequest) }],
  [
    '5 that deny, 5 that allow',
    {
      deny: rules(
        5,
        () => [],
        nth => byRequest(nth + 100),
      ),
      allow: rules(
        5,
        () => ours,
        nth => byRequest(nth + 5),
      ),
    },
  ],
  [
    '1,000 rules of identity',
    {
      deny: [],
      allow: rules(
        1000,
        nth => (nth === 999 ? ours : byIdentity(nth)),
        () => [],
      ),
    },
  ],
  [
    '1,000 callers, a path each',
    {
      deny: [],
      allow: rules(
        1000,
        nth => (nth === 999 ? ours : byIdentity(nth)),
        nth => byRequest(nth === 999 ? 9 : nth),
      ),
    },
  ],
  [
    '1 rule of method and path',
    {
      deny: [],
      allow: rules(
        1,
        () => ours,
        () => byRequest(9),
      ),
    },
  ],
  [
    '100 rules of method and path',
    {
      deny: [],
      allow: rules(
        100,
        () => ours,
        nth => byRequest(nth === 99 ? 9 : nth + 10),
      ),
    },
  ],
  [
    '1,000 rules of a host each',
    only(nth => [[{ on: 'host', any: [{ type: 'exact', value: nth === 999 ? 'api.shop' : `h${nth}.shop` }] }]]),
  ],
  ['1,000 rules of a header each', only(nth => [[{ on: 'header', name: 'x-tenant', any: [{ type: 'exact', value: `t${nth}` }] }]])],
  [
    '1,000 rules of a claim each',
    {
      deny: [],
      allow: rules(
        1000,
        nth => [[{ on: 'claim', path: ['sub'], any: [{ type: 'exact', value: `u${nth}` }] }]],
        () => [],
      ),
    },
  ],
  [
    '1,000 that deny, 1,000 that allow',
    {
      deny: rules(
        1000,
        () => [],
        nth => byRequest(nth + 2000),
      ),
      allow: rules(
        1000,
        () => ours,
        nth => byRequest(nth === 999 ? 9 : nth + 10),
      ),
    },
  ],
  [
    '1,000 rules with times',
    {
      deny: [],
      allow: rules(
        1000,
        () => ours,
        nth => byRequest(nth === 999 ? 9 : nth + 10),
      ).map(rule => ({ ...rule, when: [{ weekly: { days: [0, 1, 2, 3, 4, 5, 6], from: 0, to: 1440, timeZone: 'Europe/Berlin' } }] })),
    },
  ],
  [
    '1,000 rules of method and path',
    {
      deny: [],
      allow: rules(
        1000,
        () => ours,
        nth => byRequest(nth === 999 ? 9 : nth + 10),
      ),
    },
  ],
]

const entries = Array.from({ length: 16 }, () => ({}))
const requests: readonly RequestFacts[] = ['/api/v9', '/api/v9/items', '/api/v9/items/4711'].map(path => ({
  method: 'GET',
  host: 'api.shop',
  path,
  search: '',
  header: name => (name === 'x-tenant' ? 't999' : undefined),
  claims: { sub: 'u999' },
}))

function decisions(access: Access | undefined, times: number): number {
  let allowed = 0
  for (let nth = 0; nth < times; nth++) {
    const request = requests[nth % 3]!
    if (access === undefined) allowed++
    else if (accessOf(access, entries[nth & 15]!, () => ({ identity: caller, address: '10.0.0.7' }), Date.now).judge(request).isAllowed)
      allowed++
  }
  return allowed
}

for (const [name, access] of cases) {
  decisions(access, 20_000)
  let times = 0
  const began = performance.now()
  while (performance.now() - began < secondsEach * 1000) {
    if (decisions(access, 5_000) !== 5_000) throw new Error(`${name}: not every request was allowed`)
    times += 5_000
  }
  process.stdout.write(`${name.padEnd(32)}${(((performance.now() - began) * 1e6) / times).toFixed(0).padStart(8)} ns\n`)
}

/** What is decided once for each connection. */
for (const [name, access] of cases) {
  if (access === undefined) continue
  let times = 0
  const began = performance.now()
  for (; performance.now() - began < (secondsEach * 1000) / 4; times++)
    accessOf(access, {}, () => ({ identity: caller, address: '10.0.0.7' }), Date.now)
  process.stdout.write(`${`a new caller: ${name}`.padEnd(52)}${(((performance.now() - began) * 1e6) / times).toFixed(0).padStart(8)} ns\n`)
}

const { gc } = globalThis as { readonly gc?: () => void }
if (gc !== undefined) {
  const [, access] = cases.at(-1)!
  const heap = (): number => (gc(), gc(), process.memoryUsage().heapUsed)
  decisions(access, 100_000)
  const before = heap()
  decisions(access, 1_000_000)
  process.stdout.write(`memory after a million decisions: ${((heap() - before) / 1024).toFixed(0)} KiB more\n`)
}
