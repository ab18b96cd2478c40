import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Mesh } from '#model/mesh'
import { accessOf } from '#model/access'
import type { Access, AccessRule } from '#model/access-rule'
import type { ProxyNode, WorkloadPort } from '#model/workload'
import { admit } from '#resources/validate'
import type { AccessPolicy, TrustDomain } from '#resources/weft'
import { accessAt } from './at.ts'
import { lowerRules } from './rules.ts'
import { findTrustDomains } from './trust-domains.ts'

const made = (name: string, trustDomain: string, more: object = { bundleEndpoint: { url: 'https://x.test/' } }): TrustDomain =>
  admit({ apiVersion: 'weft.dev/v1alpha1', kind: 'TrustDomain', metadata: { name }, spec: { trustDomain, ...more } }) as TrustDomain
const said = ({ statuses }: ReturnType<typeof findTrustDomains>): readonly string[] =>
  statuses.flatMap(({ name, conditions = [] }) => conditions.map(({ type, status, reason }) => `${name} ${type} ${status} ${reason}`))

test('of two for one trust domain the older holds, the own is refused, and what is not had yet is not believed', () => {
  const known = {
    one: { roots: ['PEM'], told: [], refreshedAt: '2026-06-01T00:00:00Z', sequence: 3 },
    two: { roots: ['OTHER'], told: [], refreshedAt: '2026-06-01T00:00:00Z' },
    four: { roots: ['KEPT'], told: [], failing: 'https://x.test does not answer' },
  }
  const all = [
    made('one', 'one.test'),
    made('two', 'one.test'),
    made('own', 'weft.local'),
    made('three', 'three.test'),
    made('four', 'four.test'),
  ]
  const found = findTrustDomains(all, known, 'weft.local')
  assert.deepEqual(found.federated, { 'four.test': ['KEPT'], 'one.test': ['PEM'] })
  assert.deepEqual(said(found), [
    'one Accepted True Accepted',
    'one Fetched True Fetched',
    'two Accepted False Conflicted',
    'two Fetched True Fetched',
    'own Accepted False Invalid',
    'own Fetched False Pending',
    'three Accepted False Pending',
    'three Fetched False Pending',
    'four Accepted True Accepted',
    'four Fetched False FetchFailed',
  ])
})

const node = { namespace: 'shop', workload: 'web', service: 'web', labels: {}, ports: [] } as unknown as ProxyNode
const port = { name: 'http', port: 8080, protocol: 'http' } as WorkloadPort
const identity = (trustDomain: string) => `spiffe://${trustDomain}/ns/shop/sa/web`

/** Whether each of these may: somebody of the own trust domain, of the one that is believed, and somebody unknown. */
function may(allow: readonly AccessRule[] | undefined): readonly boolean[] {
  const mesh = {
    trust: { domain: 'weft.local', roots: [], federated: { 'one.test': ['PEM'], 'two.test': ['PEM'] } },
    guards: allow === undefined ? [] : [{ as: 'allow', isAudit: false, targets: [{}], rules: allow }],
    access: 'allow',
    accessIn: {},
    blocked: [],
    gateways: {},
    tokens: {},
  } as unknown as Mesh
  const access = accessAt(mesh, node, port, false)!.opaque
  return [identity('weft.local'), identity('one.test'), identity('two.test'), undefined].map(
    peer =>
      accessOf(
        access,
        {},
        () => ({ identity: peer, address: '10.0.0.1' }),
        () => 0,
      ).judgeConnection().isAllowed,
  )
}
const rule = (...from: AccessRule['from']): AccessRule => ({ name: 'shop/p#0', from, to: [] })

test('nothing is allowed to another trust domain that no rule names', () => {
  assert.deepEqual(may(undefined), [true, false, false, true])
  assert.deepEqual(may([rule()]), [true, false, false, true])
  assert.deepEqual(may([rule([{ on: 'identity', any: [{ type: 'prefix', value: 'spiffe://' }] }])]), [true, false, false, false])
  assert.deepEqual(may([rule([{ on: 'identity', any: [{ type: 'suffix', value: '/sa/web' }] }])]), [true, false, false, false])
  const notThese = [{ on: 'identity', any: [{ type: 'exact', value: 'spiffe://weft.local/ns/x/sa/y' }], not: true }] as const
  assert.deepEqual(may([rule([...notThese])]), [true, false, false, true])
})

test('a rule that names one lets that one in and no other', () => {
  const named = [{ on: 'identity', any: [{ type: 'prefix', value: 'spiffe://one.test/' }] }] as const
  assert.deepEqual(may([rule([...named])]), [false, true, false, false])
  assert.deepEqual(may([rule(), rule([...named])]), [true, true, false, true])
  const both = [
    {
      on: 'identity',
      any: [
        { type: 'prefix', value: 'spiffe://' },
        { type: 'exact', value: identity('one.test') },
      ],
    },
  ] as const
  assert.deepEqual(may([rule([...both])]), [true, true, false, false])
})

test('namespaces and service accounts are looked for where the template of each trust domain has them, and nowhere else', () => {
  const one = {
    ...made('one', 'one.test'),
    spec: { trustDomain: 'one.test', spiffeIDTemplate: '/{namespace}/{serviceAccount}' },
  } as TrustDomain
  const { idTemplates } = findTrustDomains([one, made('two', 'two.test'), made('again', 'one.test')], {}, 'weft.local')
  assert.deepEqual(idTemplates, { 'one.test': '/{namespace}/{serviceAccount}' })
  const policy = (from: object): AccessPolicy =>
    admit({
      apiVersion: 'weft.dev/v1alpha1',
      kind: 'AccessPolicy',
      metadata: { name: 'p', namespace: 'shop' },
      spec: { targetRefs: [{ kind: 'Namespace' }], rules: [{ from: [from] }] },
    }) as AccessPolicy
  /** Who of these is let in by a rule of a mesh whose own ids have the form of that template. */
  const letIn = (from: object, own: object, ...ids: readonly string[]): readonly string[] => {
    const { rules } = lowerRules(policy(from), 'weft.local', { ...idTemplates, ...own })
    const access: Access = { deny: [], allow: rules.map(({ name, from: any }) => ({ name, from: any, to: [] })) }
    return ids.filter(
      id =>
        accessOf(
          access,
          {},
          () => ({ identity: id, address: '10.0.0.1' }),
          () => 0,
        ).judgeConnection().isAllowed,
    )
  }
  const all = ['/shop/web', '/ns/shop/sa/web', '/ns/web', '/weft/shop/workload/web', '/weft/shop/workload/web/x', '/shop', '/web/shop']
  const of = (domain: string): readonly string[] => all.map(path => `spiffe://${domain}${path}`)
  const everybody = [...of('weft.local'), ...of('one.test'), ...of('two.test')]
  const own = { 'weft.local': '/weft/{namespace}/workload/{serviceAccount}' }
  assert.deepEqual(letIn({ namespaces: ['shop'] }, own, ...everybody), ['spiffe://weft.local/weft/shop/workload/web'])
  assert.deepEqual(letIn({ serviceAccounts: ['web'] }, own, ...everybody), ['spiffe://weft.local/weft/shop/workload/web'])
  assert.deepEqual(letIn({ namespaces: ['ns'] }, own, ...everybody), [])
  assert.deepEqual(letIn({ namespaces: ['shop'] }, {}, ...everybody), ['spiffe://weft.local/ns/shop/sa/web'])
  const both = { trustDomains: ['one.test', 'two.test'] }
  const fitting = ['spiffe://one.test/shop/web', 'spiffe://two.test/ns/shop/sa/web']
  assert.deepEqual(letIn({ ...both, namespaces: ['shop'] }, own, ...everybody), fitting)
  assert.deepEqual(letIn({ ...both, serviceAccounts: ['shop/web'] }, own, ...everybody), fitting)
  // Of what has another form nobody knows that it is not in the namespace.
  assert.deepEqual(letIn({ ...both, notNamespaces: ['shop', 'web'] }, own, ...everybody), ['spiffe://one.test/ns/web'])
})
