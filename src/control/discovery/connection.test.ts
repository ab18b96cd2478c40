/** What a refusal of a proxy leads to, over its stream: an Envoy gets something that lets nobody in where it would go on with less than there is to be, a proxy of Weft keeps what it had; both are told. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestClock } from '#base/clock'
import type { RouteTable } from '#model/route'
import { emptyView, type View } from '#model/view'
import type { ProxyNode } from '#model/workload'
import { decodeResource } from '#xds/decode'
import { AdsServer } from '#xds/server'
import { typeUrls } from '#xds/types'
import type { CompileLoop } from '../compile-loop.ts'
import { Connection } from './connection.ts'

const node: ProxyNode = {
  id: 'app-1.shop',
  workload: 'app-1',
  namespace: 'shop',
  service: 'app',
  labels: {},
  ports: [],
  probe: { type: 'none' },
  version: 'envoy 1.40.0',
}
const viewOf = (access?: { readonly deny: []; readonly allow: [] }): View => ({
  ...emptyView,
  routes: {
    'inbound/80': {
      name: 'inbound/80',
      hosts: [
        {
          name: '*',
          domains: ['*'],
          routes: [
            {
              name: 'all',
              origin: 'all',
              match: {},
              filters: [],
              action: { type: 'forward', backends: [{ backend: 'local/80', weight: 1 }] },
              ...(access === undefined ? {} : { access }),
            },
          ],
        },
      ],
    },
  },
})

/** A proxy that refuses tables with access rules. */
class Peer {
  readonly server = new AdsServer('delta')
  readonly connection: Connection
  table: RouteTable | undefined
  revision = 0
  #view = viewOf()

  constructor(isEnvoy: boolean) {
    this.connection = new Connection({
      node: isEnvoy ? { ...node, isEnvoy } : node,
      identity: 'spiffe://test.mesh/ns/shop/sa/app',
      server: this.server,
      flush: () => {},
      end: () => {},
      clock: new TestClock(0),
    })
    for (const typeUrl of Object.values(typeUrls))
      this.server.receive({
        typeUrl,
        nonce: '',
        subscribe: typeUrl === typeUrls.route ? ['inbound/80'] : [],
        unsubscribe: [],
        initialVersions: {},
        node: undefined,
        error: undefined,
      })
  }

  compiled(view: View): void {
    this.#view = view
    this.revision += 1
    const loop = {
      current: { revision: this.revision },
      cut: () => ({ mesh: {}, view: this.#view }),
    } as unknown as CompileLoop
    this.connection.follow(loop)
    for (let replies = this.server.drain(); replies.length > 0; replies = this.server.drain())
      for (const reply of replies) this.#answer(reply)
  }

  #answer({ typeUrl, nonce, resources }: ReturnType<AdsServer['drain']>[number]): void {
    const refused = resources.flatMap(({ name, body }) => {
      const decoded = decodeResource(typeUrl, name, body)
      assert.ok('part' in decoded)
      if (decoded.part.type !== 'route') return []
      const hasRules = decoded.part.value.hosts.some(host => host.routes.some(route => route.access !== undefined))
      if (!hasRules) this.table = decoded.part.value
      return hasRules ? [`${name}: rules are new to me`] : []
    })
    const error = refused.length === 0 ? undefined : { code: 3, message: refused.join('\n') }
    const answer = { typeUrl, nonce, subscribe: [], unsubscribe: [], initialVersions: {}, node: undefined, error }
    for (const event of this.server.receive(answer)) if (event.type === 'rejected') this.connection.refused(event.resources)
    this.connection.seen()
  }

  get does(): string {
    const action = this.table!.hosts[0]!.routes[0]!.action
    return action.type === 'respond' ? `answers ${action.status}` : 'forwards'
  }
  get told() {
    const { state, active, wanted, rejected } = this.connection.status('healthy')
    return { state, active, wanted, rejected: rejected.map(({ resource, reason }) => `${resource}: ${reason}`) }
  }
}

test('an Envoy that refuses a stricter table lets nobody in, is told, and is tried again with the next one', () => {
  const peer = new Peer(true)
  peer.compiled(viewOf())
  assert.deepEqual([peer.does, peer.told], ['forwards', { state: 'synced', active: 1, wanted: 1, rejected: [] }])
  const strict = viewOf({ deny: [], allow: [] })
  peer.compiled(strict)
  const rejected = ['inbound/80: rules are new to me; it lets nothing in there, for a policy is in it that the proxy does not have']
  assert.deepEqual([peer.does, peer.told], ['answers 503', { state: 'rejected', active: 1, wanted: 2, rejected }])
  peer.compiled({ ...strict, dns: [{ name: 'a', addresses: [] }] })
  assert.deepEqual([peer.does, peer.told], ['answers 503', { state: 'rejected', active: 1, wanted: 3, rejected }])
  peer.compiled(viewOf())
  assert.deepEqual([peer.does, peer.told], ['forwards', { state: 'synced', active: 4, wanted: 4, rejected: [] }])
})

test('a proxy of Weft that does not know a new word goes on with what it had, and is told', () => {
  const peer = new Peer(false)
  peer.compiled(viewOf())
  peer.compiled(viewOf({ deny: [], allow: [] }))
  assert.deepEqual(
    [peer.does, peer.told],
    ['forwards', { state: 'rejected', active: 1, wanted: 2, rejected: ['inbound/80: rules are new to me'] }],
  )
})
