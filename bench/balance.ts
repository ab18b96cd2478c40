/** Promise: choosing an endpoint costs less than a microsecond at any size, but for a scan of all. Prints nanoseconds of CPU for each pick, and microseconds to make a balancer; `node bench/balance.ts`. */

import { hashOf, Latency, makeBalancer, type Policy } from '../src/model/balance.ts'
import type { Endpoint } from '../src/model/view.ts'

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

console.log(`${'ns a pick, and µs to make'.padEnd(32)}${sizes.map(size => String(size).padStart(20)).join('')}`)
for (const isWeighted of [false, true])
  for (const [name, policy] of policies) {
    const cells = sizes.map(size => {
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
      const made = nanoseconds(1_000, () => void (balancer = makeBalancer(endpoints, policy, around)))
      const isScan = policy.balancing?.choices === 'all'
      const picks = isScan ? Math.max(100, Math.floor(2_000_000 / (size + 10))) : 200_000
      const pick = nanoseconds(picks, () => {
        for (let at = 0; at < picks; at++) balancer.pick(keys[at & 1_023])
      })
      return `${pick.toFixed(0)} / ${made.toFixed(0)}`.padStart(20)
    })
    console.log(`${`${name}${isWeighted ? ', by weight' : ''}`.padEnd(32)}${cells.join('')}`)
  }
