/** What finding the route of a request costs: `node bench/routes.ts` prints nanoseconds of CPU for tables of 1 to 10,000 routes of several kinds. */

import process from 'node:process'
import { chooseRoute, type RequestFacts } from '../src/model/match.ts'
import type { Match, RouteTable, VirtualHost } from '../src/model/route.ts'

const secondsEach = 0.5
const rounds = 5
const counts = [1, 10, 100, 1000, 10_000]

/** What each asks for; the requests go round all of them, so that finding the first says nothing. */
const kinds: Readonly<Record<string, (nth: number) => Match>> = {
  'exact path': nth => ({ path: { type: 'exact', value: `/api/v1/item-${nth}/view` } }),
  prefix: nth => ({ path: { type: 'prefix', value: `/api/v1/item-${nth}` } }),
  'prefix and method': nth => ({ path: { type: 'prefix', value: `/api/v1/item-${nth >> 1}` }, method: nth % 2 === 0 ? 'POST' : 'GET' }),
  'expression below a path': nth => ({ path: { type: 'regex', value: `/api/v1/item-${nth}/[a-z]+` } }),
  'one path, header of a tenant': nth => ({
    path: { type: 'prefix', value: '/api' },
    headers: [{ name: 'x-tenant', type: 'exact', value: `t${nth}` }],
  }),
}

const tableOf = (matches: readonly Match[]): RouteTable => ({ name: 't', hosts: [hostOf('*', matches)] })
const hostOf = (domain: string, matches: readonly Match[]): VirtualHost => ({
  name: domain,
  domains: [domain],
  routes: matches.map((match, at) => ({
    name: String(at),
    origin: String(at),
    match,
    filters: [],
    action: { type: 'respond', status: 200, detail: '' },
  })),
})
const hostsOf = (count: number): RouteTable => ({
  name: 't',
  hosts: Array.from({ length: count }, (_, nth) => hostOf(nth % 2 === 0 ? `s${nth}.shop.example` : `*.s${nth}.shop.example`, [{}])),
})

const requestsFor = (count: number): readonly RequestFacts[] =>
  Array.from({ length: Math.min(count, 512) }, (_, at) => {
    const nth = Math.floor((at * count) / Math.min(count, 512))
    return {
      method: nth % 2 === 0 ? 'POST' : 'GET',
      host: nth % 2 === 0 ? `s${nth}.shop.example` : `www.s${nth}.shop.example`,
      path: `/api/v1/item-${nth}/view`,
      search: '',
      header: (name: string) => (name === 'x-tenant' ? `t${nth}` : undefined),
    }
  })

/** Nanoseconds of CPU of this process for one request: of several rounds the median. */
function costOf(table: RouteTable, requests: readonly RequestFacts[]): number {
  const run = (times: number): void => {
    for (let nth = 0; nth < times; nth++)
      if (chooseRoute(table, requests[nth % requests.length]!) === undefined) throw new Error('a request found no route')
  }
  run(2000)
  const seen = Array.from({ length: rounds }, () => {
    const before = process.cpuUsage()
    const until = performance.now() + (secondsEach * 1000) / rounds
    let times = 0
    for (; performance.now() < until; times += 500) run(500)
    const { user, system } = process.cpuUsage(before)
    return ((user + system) * 1000) / times
  })
  return seen.sort((one, other) => one - other)[rounds >> 1]!
}

/** A table in Markdown. */
export const routesTable = (): readonly string[] => [
  'Finding the route of a request, by itself: nanoseconds of CPU; the requests go round all routes of the table. More than eight are looked up by an index that is made once.',
  '',
  `| routes | ${counts.map(count => count.toLocaleString('en')).join(' | ')} |`,
  `|---|${counts.map(() => '---:|').join('')}`,
  ...Object.entries(kinds).map(([name, match]) =>
    row(
      name,
      counts.map(count => costOf(tableOf([...Array.from({ length: count }, (_, nth) => match(nth)), {}]), requestsFor(count))),
    ),
  ),
  row(
    'hosts, half of them wildcards',
    counts.map(count => costOf(hostsOf(count), requestsFor(count))),
  ),
]

const row = (name: string, costs: readonly number[]): string => `| ${name} | ${costs.map(each => each.toFixed(0)).join(' | ')} |`

if (import.meta.main) console.log(routesTable().join('\n'))
