/** Promise: choosing an endpoint costs less than a microsecond at any size, but for a scan of all. Nanoseconds of CPU for each pick, and microseconds to make a balancer; a row of `npm run bench`, or `node bench/balance.ts`. */

import type { Endpoint } from '../src/model/backend.ts'
import { hashOf, Latency, makeBalancer, type Policy } from '../src/model/balance.ts'

const sizes = [1, 2, 100, 10_000]
const policies: readonly (readonly [string, Policy])[] = [
  ['round robin', { balance: 'round-robin' }],
  ['random', { balance: 'random' }],
  ['least request', { balance: 'least-request' }],
  ['least request of all', { balance: 'least-request', balancing: { choices: 'all' } }],
  ['peak EWMA', { balance: 'peak-ewma' }],
  ['ring hash', { balance: 'ring-hash' }],
  ['Maglev', { balance: 'maglev' }],
]
const keys = Array.from({ length: 1_024 }, (_, at) => hashOf(`user-${at}`))

/** The best of three, for what disturbs only adds. */
function nanoseconds(count: number, run: () => void): number {
  let best = Number.POSITIVE_INFINITY
  for (let time = 0; time < 3; time++) {
    const began = process.cpuUsage()
    run()
    const { user, system } = process.cpuUsage(began)
    best = Math.min(best, ((user + system) * 1_000) / count)
  }
  return best
}

const endpointsOf = (count: number, isWeighted: boolean): Endpoint[] =>
  Array.from({ length: count }, (_, at) => ({
    host: `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`,
    port: 8080,
    weight: isWeighted ? 1 + (at % 3) : 1,
    health: 'healthy',
    mtls: true,
    workload: `w-${at}.default`,
  }))

function cell(policy: Policy, size: number, isWeighted: boolean): string {
  const endpoints = endpointsOf(size, isWeighted)
  const usage = new Map(endpoints.map(each => [each, { inFlight: 0, latency: new Latency() }]))
  const around = {
    usage: (endpoint: Endpoint) => usage.get(endpoint)!,
    random: Math.random,
    now: () => performance.now(),
    since: () => Number.NEGATIVE_INFINITY,
    turn: 0,
  }
  let balancer = makeBalancer(endpoints, policy, around)
  const made = nanoseconds(1, () => void (balancer = makeBalancer(endpoints, policy, around))) / 1_000
  const isScan = policy.balancing?.choices === 'all'
  const picks = isScan ? Math.max(100, Math.floor(2_000_000 / (size + 10))) : 200_000
  const pick = nanoseconds(picks, () => {
    for (let at = 0; at < picks; at++) balancer.pick(keys[at & 1_023])
  })
  return `${pick.toFixed(0)} / ${made.toFixed(0)}`
}

/** A table in Markdown. */
export const balanceTable = (): readonly string[] => [
  'Choosing an endpoint, by itself: nanoseconds of CPU for each pick / microseconds to make the balancer anew, which is done at the first request after the endpoints have changed.',
  '',
  `| endpoints | ${sizes.map(size => size.toLocaleString('en')).join(' | ')} |`,
  `|---|${sizes.map(() => '---:|').join('')}`,
  ...[false, true].flatMap(isWeighted =>
    policies.map(
      ([name, policy]) =>
        `| ${name}${isWeighted ? ', by weight' : ''} | ${sizes.map(size => cell(policy, size, isWeighted)).join(' | ')} |`,
    ),
  ),
]

if (import.meta.main) console.log(balanceTable().join('\n'))
