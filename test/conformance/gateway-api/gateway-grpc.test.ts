/**
 * The expectations of Gateway API's conformance tests of profile GATEWAY-GRPC (v1.6), each under its own name, against our operator API and `weft gateway`. Written anew
 * from what those tests ask; the certificates and statuses of Gateways are in gateway.test.ts.
 */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Resource } from '../../../src/resources/kind.ts'
import { all, Edge, listener, route, skip, to } from './edge.ts'
import { grpcService } from './edge-pods.ts'

/** UNIMPLEMENTED: what a call is answered that no route takes. */
const unimplemented = 12

const calls = (rules: readonly object[], more: Parameters<typeof route>[1] = {}): Resource => route(rules, { ...more, kind: 'GRPCRoute' })
const named = (method: string, name: string): object => ({
  matches: [{ method: { service: grpcService, method } }],
  backendRefs: [to(`calls-${name}`)],
})
const withHeaders = (name: string, ...matches: readonly Readonly<Record<string, string>>[]): object => ({
  matches: matches.map(each => ({ headers: Object.entries(each).map(([header, value]) => ({ name: header, value })) })),
  backendRefs: [to(`calls-${name}`)],
})

describe('Gateway API conformance: calls of gRPC at a Gateway', { skip }, () => {
  let edge: Edge
  before(async () => {
    edge = await Edge.start(1)
  })
  after(() => edge[Symbol.asyncDispose]())

  type Call = Parameters<Edge['call']>[0] & { readonly pod?: string; readonly code?: number }
  const holds = (name: string, documents: () => readonly Resource[], cases: readonly Call[]): void =>
    void test(name, () =>
      edge.with(documents(), async () => {
        for (const { kind, metadata } of documents())
          if (kind === 'GRPCRoute')
            assert.deepEqual(await edge.verdict(kind, metadata.name, 'first'), ['True Accepted', 'True ResolvedRefs'])
        for (const { pod, code = 0, ...asked } of cases) {
          const said = await edge.call(asked)
          assert.equal(said.code, code, JSON.stringify({ asked, said }))
          if (pod !== undefined) assert.equal(said.echo?.pod, pod, JSON.stringify({ asked, said }))
        }
      }),
    )
  const plain = (): Resource => edge.gateway('first', [listener('http', 'HTTP', 80)])

  holds('GRPCExactMethodMatching', () => [plain(), calls([named('Echo', 'one'), named('EchoTwo', 'two')])], [
    { method: 'Echo', pod: 'one' },
    { method: 'EchoTwo', pod: 'two' },
    { method: 'EchoThree', code: unimplemented },
  ])

  holds(
    'GRPCRouteHeaderMatching',
    () => [
      plain(),
      calls([
        withHeaders('one', { version: 'one' }),
        withHeaders('two', { version: 'two' }),
        withHeaders('one', { version: 'two', color: 'orange' }),
        withHeaders('one', { color: 'blue' }, { color: 'green' }),
        withHeaders('two', { color: 'red' }, { color: 'yellow' }),
      ]),
    ],
    [
      { headers: { version: 'one' }, pod: 'one' },
      { headers: { version: 'two' }, pod: 'two' },
      { headers: { version: 'two', color: 'orange' }, pod: 'one' },
      { headers: { version: 'two', color: 'blue' }, pod: 'two' },
      { headers: { color: 'blue' }, pod: 'one' },
      { headers: { color: 'green' }, pod: 'one' },
      { headers: { color: 'red' }, pod: 'two' },
      { headers: { color: 'yellow' }, pod: 'two' },
      ...[{ color: 'orange' }, { 'some-other-header': 'one' }, { color: 'purple' }].map(headers => ({ headers, code: unimplemented })),
    ],
  )

  const hosts = ['bar.com', 'foo.bar.com', '*.bar.com', '*.foo.com'].map((hostname, index) =>
    listener(`l${index + 1}`, 'HTTP', 80, { hostname }),
  )
  const atListener = (name: string, pod: string, ...sections: readonly string[]): Resource =>
    calls(all(`calls-${pod}`), { name, parents: sections.map(sectionName => ({ name: 'first', sectionName })) })
  holds(
    'GRPCRouteListenerHostnameMatching',
    () => [
      edge.gateway('first', hosts),
      atListener('v1', 'one', 'l1'),
      atListener('v2', 'two', 'l2'),
      atListener('v3', 'three', 'l3', 'l4'),
    ],
    [
      { authority: 'bar.com', pod: 'one' },
      { authority: 'foo.bar.com', pod: 'two' },
      ...['baz.bar.com', 'boo.bar.com', 'multiple.prefixes.bar.com', 'multiple.prefixes.foo.com'].map(authority => ({
        authority,
        pod: 'three',
      })),
      ...['foo.com', 'no.matching.host'].map(authority => ({ authority, code: unimplemented })),
    ],
  )

  holds('GRPCRouteNamedRule', () => [plain(), calls([{ name: 'named', ...named('Echo', 'one') }, named('EchoTwo', 'two')])], [
    { method: 'Echo', pod: 'one' },
    { method: 'EchoTwo', pod: 'two' },
  ])

  /** 300 calls and three standard deviations. */
  test('GRPCRouteWeight', () =>
    edge.with(
      [
        plain(),
        calls([
          {
            backendRefs: [
              to('calls-one', 8080, { weight: 70 }),
              to('calls-two', 8080, { weight: 30 }),
              to('calls-three', 8080, { weight: 0 }),
            ],
          },
        ]),
      ],
      async () => {
        const tally = new Map<string, number>()
        for (let times = 0; times < 300; times++) {
          const { echo } = await edge.call({})
          tally.set(echo?.pod ?? 'nobody', (tally.get(echo?.pod ?? 'nobody') ?? 0) + 1)
        }
        assert.deepEqual([...tally.keys()].sort(), ['one', 'two'])
        assert.ok(Math.abs(tally.get('one')! - 210) <= 3 * Math.sqrt(300 * 0.7 * 0.3), JSON.stringify([...tally]))
      },
    ))
})
