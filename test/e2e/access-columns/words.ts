/** AccessPolicies and requests made at random from few words, so that they meet: the good, the nearly good and the hostile. */

import fc from 'fast-check'

/** SPIFFE ids of callers, and nobody. */
export const identities = [
  'spiffe://weft.local/ns/shop/sa/web',
  'spiffe://weft.local/ns/shop/sa/cart',
  'spiffe://weft.local/ns/ops/sa/web',
  'spiffe://weft.local/ns/shop-2/sa/admin',
  undefined,
] as const
export const addresses = ['127.0.0.1', '127.0.0.9', '127.0.1.1'] as const
const issuer = 'https://staff.example'

/** What tokens say; undefined: there is none. */
export const tokens: readonly (Readonly<Record<string, unknown>> | undefined)[] = [
  undefined,
  { sub: 'ann', groups: ['staff', 'admin'], scope: 'read write', realm: { name: 'north' }, staff: true },
  { sub: 'bob', groups: 'staff', scope: 'read', realm: { name: 'south' }, staff: false, 'a.b': 'dotted' },
  { sub: 'admin', groups: [['admin'], { admin: true }, 7], realm: 'north', staff: 'true', role: 'admin' },
]

const some = <T>(values: readonly T[], most = 2): fc.Arbitrary<T[]> =>
  fc.subarray([...values], { minLength: 1, maxLength: Math.min(most, values.length) })
/** Null in so many of a hundred less. */
const maybe = <T>(arbitrary: fc.Arbitrary<T>, percent: number): fc.Arbitrary<T | null> =>
  fc.oneof({ arbitrary: fc.constant(null), weight: 100 - percent }, { arbitrary, weight: percent })
/** Each field now and then, and one at least. */
const fields = <T extends object>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }, weight: number): fc.Arbitrary<Partial<T>> =>
  fc
    .tuple(
      fc.record(model as never) as fc.Arbitrary<T>,
      fc.array(fc.nat(99), { minLength: Object.keys(model).length, maxLength: Object.keys(model).length }),
      fc.nat(),
    )
    .map(([all, dice, last]) => {
      const keys = Object.keys(model)
      const kept = keys.filter((_, at) => dice[at]! < weight)
      if (kept.length === 0) kept.push(keys[last % keys.length]!)
      return Object.fromEntries(kept.map(key => [key, all[key as keyof T]])) as Partial<T>
    })

const identityPatterns = [
  '*',
  'spiffe://weft.local/ns/shop/sa/web',
  'spiffe://weft.local/ns/shop/*',
  'spiffe://weft.local/ns/*/sa/web',
  '*/sa/admin',
  '*shop*',
  'spiffe://other.example/*',
]
const namespaces = ['shop', 'ops', 'default']
const accounts = ['shop/web', 'ops/web', 'shop/cart', 'web']
const blocks = ['127.0.0.1', '127.0.0.8/29', '127.0.1.0/24', '127.0.0.0/8', '10.0.0.0/8', '::1', '::/0']
const claim = fc.constantFrom(
  { name: 'groups', values: ['admin'] },
  { name: 'groups', values: ['sta*', 'none'] },
  { name: 'sub', values: ['ann', 'admin'] },
  { name: 'sub', values: ['*n'] },
  { name: 'scope', values: ['write'] },
  { name: 'realm.name', values: ['north'] },
  { name: 'realm', values: ['north'] },
  { name: 'staff', values: ['true'] },
  { name: 'staff', values: ['fal*'] },
  { name: 'a\\.b', values: ['dotted'] },
  { name: 'a.b', values: ['dotted'] },
)
const source = fields(
  {
    identities: some(identityPatterns),
    namespaces: some(namespaces),
    serviceAccounts: some(accounts),
    trustDomains: some(['weft.local', 'other.example']),
    ipBlocks: some(blocks),
    claims: fc.array(claim, { minLength: 1, maxLength: 2 }),
    issuers: some([issuer, 'https://other.example']),
    notIdentities: some(identityPatterns.slice(1)),
    notNamespaces: some(namespaces),
    notServiceAccounts: some(accounts),
    notTrustDomains: some(['weft.local', 'other.example'], 1),
    notIpBlocks: some(blocks),
  },
  12,
)

export const paths = [
  '/',
  '/api',
  '/api/',
  '/api/items',
  '/admin',
  '/admin/keys',
  '/public/a.json',
  '/caf%C3%A9',
  '/a%20b',
  '/shop.Cart/Add',
  '/shop.Cart/Get',
]
const path = fc.constantFrom(
  { value: '/api' },
  { value: '/' },
  { value: '/admin' },
  { value: '/public' },
  { type: 'Exact', value: '/admin' },
  { type: 'Exact', value: '/api/' },
  { type: 'Exact', value: '/caf%C3%A9' },
  { value: '/caf%C3%A9' },
  { type: 'Suffix', value: '.json' },
  { type: 'Suffix', value: '/keys' },
  { value: '/shop.Cart' },
)
const header = fc.constantFrom(
  { name: 'x-role', values: ['admin'] },
  { name: 'X-Role', values: ['ad*', 'root'] },
  { name: 'x-role', values: ['*min'] },
  { name: 'x-role' },
  { name: 'x-role', notValues: ['admin'] },
  { name: 'x-role', values: ['user', 'admin'], notValues: ['root'] },
  { name: 'x-dot', values: ['a.c'] },
  { name: 'x-dot', values: ['(a|b)+'] },
)
const hosts = ['api.shop', 'admin.shop', '*.shop', 'shop']
const operation = fields(
  {
    methods: some(['GET', 'POST', 'DELETE', 'get', 'PURGE']),
    paths: fc.array(path, { minLength: 1, maxLength: 2 }),
    hosts: some(hosts),
    headers: fc.array(header, { minLength: 1, maxLength: 2 }),
    grpc: some([{ service: 'shop.Cart' }, { service: 'shop.Cart', method: 'Add' }, { service: 'shop.Car' }], 1),
    notMethods: some(['GET', 'POST']),
    notPaths: fc.array(path, { minLength: 1, maxLength: 2 }),
    notHosts: some(hosts),
  },
  16,
)

/** Windows that are open, or not, for days around now. */
export function windowsAround(now: number): readonly object[] {
  const at = (days: number): string => new Date(now + days * 86_400_000).toISOString().replace(/\.\d+/, '')
  const names = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
  const today = new Date(now).getUTCDay()
  const on = (...shifts: readonly number[]): string[] => shifts.map(shift => names[(today + shift + 7) % 7]!)
  const timeZone = 'Asia/Kathmandu'
  return [
    { notBefore: at(-2) },
    { notAfter: at(-1) },
    { notBefore: at(1), notAfter: at(2) },
    { notBefore: at(-1), notAfter: at(1), days: on(-1, 0, 1), timeZone },
    { days: on(2, 3, -2), from: '06:00', to: '18:00', timeZone },
    { from: '00:00', to: '24:00', timeZone: 'Europe/Berlin' },
  ]
}

/** Which of them are open now. */
export const isOpenAround: readonly boolean[] = [true, false, false, true, false, true]

const ruleOf = (windows: readonly object[]) =>
  fc
    .tuple(
      maybe(fc.array(source, { minLength: 1, maxLength: 2 }), 50),
      maybe(fc.array(operation, { minLength: 1, maxLength: 2 }), 75),
      maybe(fc.array(fc.constantFrom(...windows), { minLength: 1, maxLength: 2 }), 20),
    )
    .map(([from, to, when]) => ({ ...(from === null ? {} : { from }), ...(to === null ? {} : { to }), ...(when === null ? {} : { when }) }))

/** What is said of one port. */
export const policiesFor = (windows: readonly object[]) => {
  const rules = (most: number) => fc.array(ruleOf(windows), { minLength: 1, maxLength: most })
  return fc
    .tuple(maybe(rules(2), 50), maybe(rules(4), 75), maybe(rules(2), 30), fc.boolean())
    .map(([deny, allow, audited, audits]) => [
      ...(deny === null && allow === null ? [{ action: 'Allow', rules: [{ to: [{ paths: [{ value: '/api' }] }] }] }] : []),
      ...(deny === null ? [] : [{ action: 'Deny', rules: deny }]),
      ...(allow === null ? [] : [{ action: 'Allow', rules: allow }]),
      ...(audited === null ? [] : [{ action: 'Audit', audits: audits ? 'Allow' : 'Deny', rules: audited }]),
    ])
}

/** fields: name after value. */
export type Request = {
  readonly identity: string | undefined
  readonly address: string
  readonly version: 'http1' | 'http2' | 'grpc'
  readonly method: string
  readonly target: string
  readonly host: string
  readonly fields: readonly (readonly [string, string])[]
  readonly token: number
}

const spoilt: readonly ((path: string) => string)[] = [
  path => `/${path}`,
  path => `/x/..${path}`,
  path => `/.${path}`,
  path => `${path}/`,
  path => `${path}/..`,
  path => `${path};v=1`,
  path => path.replace(/.([a-z])/, (_, letter: string) => `/%${letter.charCodeAt(0).toString(16)}`),
  path => path.replaceAll(/(.)\//g, '$1%2F'),
  path => path.replaceAll(/(.)\//g, '$1%2f'),
  path => path.toUpperCase(),
  path => path.replace('%C3%A9', '%c3%a9'),
  path => `/x/%2e%2e${path}`,
  path => `/public/..;${path}`,
  path => `/public/..%3b${path}`,
  path => `${path}%3bx`,
  path => `/public/..%2f${path.slice(1)}`,
  path => `/public/..%5c${path.slice(1)}`,
  path => `/public\\..\\${path.slice(1)}`,
  path => `${path}%00`,
  path => `${path}%`,
  path => `${path}%4`,
  path => `${path}%g1`,
  path => `${path}%1F`,
  path => `${path}%FF`,
  path => `/${path}/\xff`,
  path => `${path}/\xe9`,
  path => `${path}#x`,
  path => `/%252e%252e${path}`,
  path => `/..${path}`,
  path => `${path}%c0%af`,
  path => `${path}%e0%80%af`,
  path => `/%25${(path.codePointAt(1) ?? 97).toString(16)}${path.slice(2)}`,
  path => `${path}x`,
  path => `${path}/x`,
  path => `${path}//`,
  path => `${path}/.`,
]
const target = fc
  .tuple(fc.constantFrom(...paths), maybe(fc.constantFrom(...spoilt), 40), fc.constantFrom('', '', '?a=1', '?/admin', '?x=/../admin'))
  .map(([path, spoil, search]) => `${spoil === null ? path : spoil(path)}${search}`)

const roles = [
  'admin',
  'user',
  'root',
  'user, admin',
  'administrator',
  '',
  ' admin ',
  'admin,',
  'ADMIN',
  'user,root,admin',
  'admin;q=1',
  'admin\xa0',
  'admin, \xff',
]

const grpcMethods: Readonly<Record<string, string>> = { PURGE: 'PUT', OPTIONS: 'post' }

/** versions: what the port takes. */
export const requestOf = (versions: readonly Request['version'][]): fc.Arbitrary<Request> =>
  fc
    .record({
      identity: fc.constantFrom(...identities),
      address: fc.constantFrom(...addresses),
      version: fc.constantFrom(...versions),
      method: fc.constantFrom('GET', 'POST', 'DELETE', 'PURGE', 'OPTIONS'),
      target,
      host: fc.constantFrom('api.shop', 'API.shop:80', 'api.shop.', 'admin.shop', 'shop', 'other', 'api.shop.evil', 'x.api.shop.:8080'),
      fields: fc
        .tuple(
          maybe(fc.constantFrom(...roles), 60),
          maybe(fc.constantFrom(...roles), 25),
          maybe(fc.constantFrom('a.c', 'abc', '(a|b)+', 'a'), 30),
        )
        .map(([one, two, dot]) => [
          ...(one === null ? [] : [['x-role', one] as const]),
          ...(two === null ? [] : [['x-role', two] as const]),
          ...(dot === null ? [] : [['x-dot', dot] as const]),
        ]),
      token: fc.nat(tokens.length - 1),
    })
    .map(({ method, fields: lines, ...rest }) => ({
      ...rest,
      // A call is a POST; some servers take others for one.
      method: rest.version === 'grpc' ? (grpcMethods[method] ?? 'POST') : method,
      // HTTP/2 has no white space around values (RFC 9113 §8.2.1).
      fields: rest.version === 'http1' ? lines : lines.map(([name, value]) => [name, value.trim()] as const),
    }))

/** The same policies and requests in every run, whatever chance makes: one table for both data planes and for what is explained. */
const base = {
  identity: identities[0],
  address: '127.0.0.1',
  version: 'http1',
  method: 'GET',
  target: '/api',
  host: 'api.shop',
  fields: [],
  token: 0,
} as const
const denied = { ...base, token: 1 } as const
const role = (...values: readonly string[]) => ({ ...base, identity: undefined, fields: values.map(value => ['x-role', value] as const) })
export type Row = readonly [what: string, isAllowed: boolean, request: Request]
export const tables: readonly { readonly policies: readonly object[]; readonly rows: readonly Row[] }[] = [
  {
    policies: [
      {
        action: 'Deny',
        rules: [{ to: [{ paths: [{ value: '/admin' }, { value: '/caf%C3%A9' }] }] }, { from: [{ ipBlocks: ['127.0.1.0/24'] }] }],
      },
      {
        action: 'Allow',
        rules: [
          { from: [{ namespaces: ['shop'] }], to: [{ methods: ['GET'], paths: [{ value: '/api' }] }] },
          { from: [{ identities: ['*'], claims: [{ name: 'groups', values: ['admin'] }] }] },
          { to: [{ headers: [{ name: 'x-role', values: ['root'] }], hosts: ['*.shop'] }] },
        ],
      },
    ],
    rows: [
      ['a caller whom a rule names', true, base],
      ['another method', false, { ...base, method: 'POST' }],
      ['a path that only begins like it', false, { ...base, target: '/apis' }],
      ['another case of the path', false, { ...base, target: '/API' }],
      ['a namespace that only begins like it', false, { ...base, identity: identities[3] }],
      ['nobody known', false, { ...base, identity: undefined }],
      ['the claim of a token', true, { ...base, method: 'POST', target: '/other', token: 1 }],
      ['a claim that only looks like it', false, { ...base, method: 'POST', target: '/other', token: 3 }],
      ['a token of nobody known', false, { ...base, identity: undefined, method: 'POST', token: 1 }],
      ['a denied path with a token that is allowed everything', false, { ...denied, target: '/admin' }],
      ['a denied path in lower case of its escapes', false, { ...denied, target: '/caf%c3%a9' }],
      ['a denied path behind another', false, { ...denied, target: '/api/../admin' }],
      ['a denied path with two slashes', false, { ...denied, target: '//admin' }],
      ['a denied path, escaped', false, { ...denied, target: '/%61dmin' }],
      ['a denied path behind an escaped slash', false, { ...denied, target: '/api/..%2fadmin' }],
      ['a denied path with a parameter', false, { ...denied, target: '/admin;a=b' }],
      ['a denied path with a fragment', false, { ...denied, target: '/admin#x' }],
      ['a denied path with an absolute form', false, { ...denied, target: 'http://api.shop/admin' }],
      ['a denied path in the query', true, { ...base, target: '/api?x=/admin' }],
      ['a path with a zero', false, { ...base, target: '/api%00' }],
      ['a denied network', false, { ...base, address: '127.0.1.1' }],
      ['a value of a header', true, role('root')],
      ['a value among others', true, role('user, root')],
      ['a value in a second line', true, role('user', 'root')],
      ['a value that only begins like it', false, role('rooted')],
      ['a value with a space of another kind behind it', false, role('root\xa0')],
      ['another host', false, { ...role('root'), host: 'shop' }],
      ['a host with a port in another case', true, { ...role('root'), host: 'API.Shop:80' }],
    ],
  },
  {
    policies: [
      { action: 'Deny', rules: [{ to: [{ headers: [{ name: 'x-role', values: ['admin', 'ro*'] }] }] }] },
      {
        action: 'Allow',
        rules: [
          { from: [{ claims: [{ name: 'staff', values: ['tr*'] }] }] },
          { from: [{ claims: [{ name: 'staff', values: ['*se'] }], namespaces: ['ops'] }] },
          { from: [{ serviceAccounts: ['shop/cart'] }] },
        ],
      },
    ],
    rows: [
      ['a claim that is true, by how it begins', true, { ...base, token: 1 }],
      ['a claim that is false, by how it ends', true, { ...base, token: 2, identity: identities[2] }],
      ['a claim that is false', false, { ...base, token: 2 }],
      ['a claim that is a text of it', true, { ...base, token: 3 }],
      ['a denied value', false, { ...role('admin'), identity: identities[1] }],
      ['a denied value before a byte that is no text', false, { ...role('admin, \xff'), identity: identities[1] }],
      ['a denied value behind a byte that is no text', false, { ...role('\xff,admin'), identity: identities[1] }],
      ['a denied beginning with a byte that is no text', false, { ...role('ro\xe9'), identity: identities[1] }],
      ['a denied value in a second line', false, { ...role('\xff', 'admin'), identity: identities[1] }],
      ['a denied value by a name with an underscore', false, { ...base, fields: [['x_role', 'admin']], identity: identities[1] }],
      ['no denied value', true, { ...role('administrator'), identity: identities[1] }],
    ],
  },
]
