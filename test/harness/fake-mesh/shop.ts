/** The invented shop: who is there, what each calls how often and how well, as the pushes that proxies would make. */

import type { Metric, MetricFamily, MetricSource } from '#model/metrics'
import { durationBuckets, metricNames } from '#model/metrics'
import type { View } from '#model/view'
import type { Traffic } from '#observe/traffic'
import type { Objects } from './objects.ts'

const one = (service: string, hash: string, version = '', namespace = 'shop', name = service): MetricSource => ({
  service: name,
  namespace,
  identity: `spiffe://weft.local/ns/${namespace}/sa/${name}`,
  workload: `${service}-${hash}`,
  version,
})

export const shop: readonly MetricSource[] = [
  one('web', '7f3a2'),
  one('web', '19c04'),
  one('catalog-v1', 'd41aa', 'v1', 'shop', 'catalog'),
  one('catalog-v2', '80c3e', 'v2', 'shop', 'catalog'),
  one('cart', '6a1f0'),
  one('checkout', '3b9d7'),
  one('payments', 'e02c8', '', 'billing'),
  one('ledger', 'a77b1', '', 'billing'),
  one('search', 'b81d2'),
  one('redis', '44f19'),
  one('mail', '5d1c9', '', 'billing'),
  one('load', '0c0de', '', 'tools'),
]

type Call = {
  readonly from: string
  readonly to: string
  readonly rate: number
  readonly failing?: number
  readonly ms?: number
  readonly isTcp?: boolean
  readonly isPlain?: boolean
}
const calls: readonly Call[] = [
  { from: 'load', to: 'web', rate: 140, ms: 14 },
  { from: 'web', to: 'catalog', rate: 210, ms: 4 },
  { from: 'web', to: 'cart', rate: 62, ms: 3 },
  { from: 'web', to: 'search', rate: 38, ms: 24, failing: 0.031 },
  { from: 'web', to: 'checkout', rate: 9, ms: 40 },
  { from: 'checkout', to: 'payments', rate: 9, ms: 28, failing: 0.004 },
  { from: 'checkout', to: 'cart', rate: 9, ms: 3 },
  { from: 'payments', to: 'ledger', rate: 3, isTcp: true },
  { from: 'cart', to: 'redis', rate: 6, isTcp: true },
  { from: 'search', to: 'catalog', rate: 12, ms: 5 },
  { from: 'outside', to: 'web', rate: 4, ms: 15, isPlain: true },
]

const sums = new Map<string, number>()
let lastAt = 0
const add = (key: string, amount: number): number => {
  const total = (sums.get(key) ?? 0) + amount
  sums.set(key, total)
  return total
}

/** Counts what happened since the last push and pushes it for every proxy. */
export function pushShop(traffic: Traffic, objects: Objects, at: number): void {
  const seconds = lastAt === 0 ? 0 : (at - lastAt) / 1000
  lastAt = at
  const wave = 1 + 0.18 * Math.sin(at / 47_000) + 0.06 * Math.sin(at / 7_000)
  for (const source of shop) {
    if (source.workload === 'mail-5d1c9') continue
    const own = calls.filter(call => call.from === source.service).flatMap(call => families(call, source, objects, seconds * wave))
    const outside = calls
      .filter(call => call.from === 'outside' && call.to === source.service)
      .flatMap(call => families(call, source, objects, seconds * wave))
    traffic.ingest(`${source.workload}.${source.namespace}`, source, [...own, ...outside], at)
  }
}

function families(call: Call, source: MetricSource, objects: Objects, seconds: number): readonly MetricFamily[] {
  const callers = shop.filter(other => other.service === source.service).length
  const targets = shop.filter(other => other.service === call.to)
  const shares = call.to === 'catalog' ? objects.split() : targets.map(() => 1 / targets.length)
  return targets.flatMap((target, index) => {
    const amount = (call.rate * seconds * (shares[index] ?? 0) * (0.94 + Math.random() * 0.12)) / callers
    const labels = {
      direction: call.isPlain ? 'inbound' : 'outbound',
      ...(call.isPlain ? {} : { source_service: source.service, source_namespace: source.namespace }),
      destination_service: target.version ? `${target.service}-${target.version}` : target.service,
      destination_namespace: target.namespace,
      destination_workload: `${target.workload}.${target.namespace}`,
      destination_identity: call.isPlain ? '' : target.identity,
      destination_version: target.version,
      protocol: call.isTcp ? 'tcp' : 'http',
      mtls: String(!call.isPlain),
    }
    return call.isTcp ? tcp(labels, source, amount) : http(labels, source, amount, call)
  })
}

function http(labels: Record<string, string>, source: MetricSource, amount: number, call: Call): readonly MetricFamily[] {
  const key = `${source.workload} ${labels['destination_workload']} ${call.from}`
  const failed = amount * (call.failing ?? 0)
  const slow = labels['destination_version'] === 'v2' ? 1.6 : 1
  const metric = (name: string, more: Record<string, string>, value: number): Metric => ({
    labels: { ...labels, ...more },
    value: add(`${key} ${name} ${JSON.stringify(more)}`, value),
  })
  let cumulative = 0
  const buckets = durationBuckets.map((upperBound, index) => {
    // Log-normal around the call's own time.
    const z = Math.log((upperBound * 1000) / ((call.ms ?? 5) * slow)) / 0.75
    const below = amount / (1 + Math.exp(-1.702 * z))
    const part = Math.max(0, below - cumulative)
    cumulative = Math.max(cumulative, below)
    return { upperBound, own: add(`${key} bucket ${index}`, part) }
  })
  let running = 0
  const histogram = { count: 0, sum: 0, buckets: buckets.map(({ upperBound, own }) => ({ upperBound, cumulativeCount: (running += own) })) }
  return [
    {
      name: metricNames.requests,
      type: 'counter',
      metrics: [metric('requests', { code: '200' }, amount - failed), ...(failed > 0 ? [metric('requests', { code: '503' }, failed)] : [])],
    },
    {
      name: metricNames.bytes,
      type: 'counter',
      metrics: [metric('bytes', { flow: 'received' }, amount * 2_300), metric('bytes', { flow: 'sent' }, amount * 420)],
    },
    { name: metricNames.duration, type: 'histogram', metrics: [{ labels, histogram: { ...histogram, count: running } }] },
    { name: metricNames.active, type: 'gauge', metrics: [{ labels, value: 8 }] },
  ]
}

function tcp(labels: Record<string, string>, source: MetricSource, amount: number): readonly MetricFamily[] {
  const key = `${source.workload} ${labels['destination_workload']}`
  return [
    { name: metricNames.opened, type: 'counter', metrics: [{ labels, value: add(`${key} opened`, amount) }] },
    { name: metricNames.closed, type: 'counter', metrics: [{ labels: { ...labels, reason: '' }, value: add(`${key} closed`, amount) }] },
    {
      name: metricNames.bytes,
      type: 'counter',
      metrics: [{ labels: { ...labels, flow: 'received' }, value: add(`${key} bytes`, amount * 9_000) }],
    },
    { name: metricNames.active, type: 'gauge', metrics: [{ labels, value: 4 }] },
  ]
}

/** A small but complete view for the proxy page. */
export function viewOf(id: string): View {
  const endpoint = (index: number, workload: string) =>
    ({ host: '127.0.0.1', port: 41_000 + index, weight: 1, health: 'healthy', mtls: true, workload }) as const
  const backend = (name: string, service: string) =>
    ({
      name,
      service,
      type: 'endpoints',
      port: 8080,
      protocol: 'http1',
      balance: 'least-request',
      connectTimeoutMs: 5_000,
      identities: [`spiffe://weft.local/ns/shop/sa/${service.split('.')[0]}`],
    }) as const
  return {
    listeners: {
      'inbound/8080': {
        name: 'inbound/8080',
        direction: 'inbound',
        host: '127.0.0.1',
        port: 41_002,
        protocol: 'http',
        tls: { mode: 'strict' },
        routes: 'inbound/8080',
        service: id.replace(/-[^.]*/, ''),
      },
      'outbound/shop/catalog:8080': {
        name: 'outbound/shop/catalog:8080',
        direction: 'outbound',
        host: '240.0.0.4',
        port: 8080,
        protocol: 'http',
        routes: 'shop/catalog:8080',
        service: 'catalog.shop',
      },
      'outbound/shop/redis:6379': {
        name: 'outbound/shop/redis:6379',
        direction: 'outbound',
        host: '240.0.0.9',
        port: 6379,
        protocol: 'tcp',
        backends: [{ backend: 'shop/redis:6379', weight: 1 }],
        service: 'redis.shop',
      },
    },
    routes: {
      'inbound/8080': {
        name: 'inbound/8080',
        hosts: [
          {
            name: 'all',
            domains: ['*'],
            routes: [
              {
                name: 'local',
                origin: 'the workload',
                match: {},
                filters: [],
                action: { type: 'forward', backends: [{ backend: 'local/8080', weight: 1 }] },
              },
            ],
          },
        ],
      },
      'shop/catalog:8080': {
        name: 'shop/catalog:8080',
        hosts: [
          {
            name: 'all',
            domains: ['*'],
            routes: [
              {
                name: 'HTTPRoute/shop/catalog/0',
                origin: 'HTTPRoute shop/catalog rule 0',
                match: { path: { type: 'prefix', value: '/beta' }, headers: [{ name: 'x-user', type: 'exact', value: 'ada' }] },
                filters: [{ type: 'request-headers', change: { set: [{ name: 'x-beta', value: '1' }], add: [], remove: ['cookie'] } }],
                action: { type: 'forward', backends: [{ backend: 'shop/catalog-v2:8080', weight: 1 }] },
                timeouts: { requestMs: 2_000 },
              },
              {
                name: 'HTTPRoute/shop/catalog/1',
                origin: 'HTTPRoute shop/catalog rule 1',
                match: {},
                filters: [],
                action: {
                  type: 'forward',
                  backends: [
                    { backend: 'shop/catalog-v1:8080', weight: 90 },
                    { backend: 'shop/catalog-v2:8080', weight: 10 },
                  ],
                },
              },
            ],
          },
        ],
      },
    },
    backends: {
      'local/8080': {
        name: 'local/8080',
        service: 'local',
        type: 'local',
        port: 8080,
        protocol: 'http1',
        balance: 'round-robin',
        connectTimeoutMs: 1_000,
        identities: [],
      },
      'shop/catalog-v1:8080': backend('shop/catalog-v1:8080', 'catalog.shop'),
      'shop/catalog-v2:8080': backend('shop/catalog-v2:8080', 'catalog.shop'),
      'shop/redis:6379': { ...backend('shop/redis:6379', 'redis.shop'), protocol: 'tcp' },
    },
    endpoints: {
      'shop/catalog-v1:8080': { backend: 'shop/catalog-v1:8080', endpoints: [endpoint(1, 'catalog-v1-d41aa.shop')] },
      'shop/catalog-v2:8080': { backend: 'shop/catalog-v2:8080', endpoints: [endpoint(2, 'catalog-v2-80c3e.shop')] },
      'shop/redis:6379': { backend: 'shop/redis:6379', endpoints: [endpoint(3, 'redis-44f19.shop')] },
    },
    dns: ['web', 'catalog', 'catalog-v1', 'catalog-v2', 'cart', 'redis'].map((name, index) => ({
      name: `${name}.shop`,
      addresses: [`240.0.0.${index + 2}`],
    })),
    trust: { domain: 'weft.local', roots: ['-----BEGIN CERTIFICATE-----'] },
  }
}
