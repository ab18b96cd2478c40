/** Proxies, and what they were told, as rows of tables. */

import type { ProxyStatus } from '#api/mesh-api'
import { tellPath } from '#model/rewrite'
import type { Match, Route } from '#model/route'
import type { View } from '#model/view'
import { tellAgo, tellSpan } from '../moment.ts'
import { type LeftOut, leftOutKey } from './left-out.ts'
import { judgeStyle, type Heading } from '../table.ts'

export const proxyHeadings: readonly Heading[] = [
  { name: 'proxy' },
  { name: 'service' },
  { name: 'version' },
  { name: 'state', style: judgeStyle },
  { name: 'health', style: judgeStyle },
  { name: 'revision', right: true },
  { name: 'certificate' },
  { name: 'seen' },
]
export const wideProxyHeadings: readonly Heading[] = [...proxyHeadings, { name: 'identity' }, { name: 'admin' }]

/** revision: active, and behind a slash the wanted one when it is another. */
export function proxyRow(
  { id, service, namespace, version, state, health, active, wanted, certificate, lastSeen, revoked }: ProxyStatus,
  now: number,
): readonly string[] {
  const left = certificate === undefined ? '' : Date.parse(certificate.notAfter) - now
  const until = left === '' ? '' : left < 0 ? 'expired' : tellSpan(left)
  return [
    id,
    `${service}.${namespace}`,
    version,
    revoked === undefined ? state : 'revoked',
    health,
    active === wanted ? String(active) : `${active}/${wanted}`,
    until,
    state === 'disconnected' ? tellAgo(lastSeen, now) : 'now',
  ]
}
export const wideProxyRow = (proxy: ProxyStatus, now: number): readonly string[] => [
  ...proxyRow(proxy, now),
  proxy.identity,
  proxy.admin ?? '',
]

export const endpointHeadings: readonly Heading[] = [
  { name: 'backend' },
  { name: 'endpoint' },
  { name: 'workload' },
  { name: 'health', style: judgeStyle },
  { name: 'weight', right: true },
  { name: 'mtls' },
  { name: 'zone' },
  { name: 'why' },
]

/** leftOut: what the proxy leaves out for a while, where that is known. now: ms since the epoch. */
export function endpointRows({ backends, endpoints }: View, leftOut?: LeftOut, now = Date.now()): readonly (readonly string[])[] {
  return Object.values(backends)
    .sort(byName)
    .flatMap(({ name, service, type, port, hosts }) => {
      if (type === 'local') return [[name, `127.0.0.1:${port}`, 'this one', '', '', '', '', '']]
      if (type === 'named') return [[name, 'the host that is asked for', '', '', '', '', '', '']]
      if (type === 'original') return [[name, 'where the caller wanted to go', '', '', '', '', '', '']]
      const set = hosts ?? endpoints[name]?.endpoints ?? []
      if (set.length === 0) return [[name, 'none', '', '', '', '', '', '']]
      return set.map(({ host, port: at, workload, health, weight, mtls, locality }) => {
        const out = leftOut?.get(leftOutKey(service, `${host}:${at}`))
        return [
          name,
          `${host.includes(':') ? `[${host}]` : host}:${at}`,
          workload,
          out === undefined ? health : 'left out',
          String(weight),
          mtls ? 'yes' : 'no',
          locality?.zone ?? '',
          out === undefined ? '' : `${out.cause}, ${tellSpan(Math.max(0, out.until - now))} more`,
        ]
      })
    })
}

export const routeHeadings: readonly Heading[] = [{ name: 'table' }, { name: 'match' }, { name: 'to' }, { name: 'from' }]

/** In the order in which they are tried. */
export function routeRows({ routes, listeners }: View): readonly (readonly string[])[] {
  const http = Object.values(routes)
    .sort(byName)
    .flatMap(({ name, hosts }) =>
      hosts.flatMap(({ domains, routes: each }) =>
        each.map(route => [
          name,
          (domains.includes('*') ? '' : `${domains.join(',')} `) + tellMatch(route.match),
          tellAction(route),
          route.origin,
        ]),
      ),
    )
  const streams = Object.values(listeners)
    .sort(byName)
    .flatMap(({ name, direction, protocol, backends = [] }) =>
      direction === 'outbound' && backends.length > 0
        ? [[name, protocol === 'detect' ? 'if not HTTP' : protocol, tellBackends(backends), 'Service']]
        : [],
    )
  return [...http, ...streams]
}

const byName = (a: { readonly name: string }, b: { readonly name: string }): number => (a.name < b.name ? -1 : 1)

export function tellMatch({ path, method, headers = [], query = [] }: Match): string {
  const signs = { exact: '=', prefix: '^', regex: '~' } as const
  const parts = [
    ...(method === undefined ? [] : [method]),
    ...(path === undefined
      ? []
      : [path.type === 'prefix' ? `${path.value.replace(/\/$/, '')}/*` : path.type === 'regex' ? `~${path.value}` : path.value]),
    ...headers.map(({ name, type, value }) => `${name}${signs[type]}${value}`),
    ...query.map(({ name, type, value }) => `?${name}${signs[type]}${value}`),
  ]
  return parts.join(' ') || '*'
}

function tellAction({ action }: Route): string {
  if (action.type === 'forward') return tellBackends(action.backends)
  if (action.type === 'respond') return `answers ${action.status}: ${action.detail}`
  const { scheme, host, port, path, status } = action.redirect
  return `redirect ${status} ${[scheme && `scheme ${scheme}`, host && `host ${host}`, port && `port ${port}`, path && `path ${tellPath(path)}`].filter(Boolean).join(', ')}`.trim()
}

function tellBackends(backends: readonly { readonly backend: string | undefined; readonly weight: number }[]): string {
  const sum = backends.reduce((total, { weight }) => total + weight, 0)
  if (backends.length === 0) return 'nothing'
  return backends
    .map(
      ({ backend, weight }) =>
        `${backend ?? 'an invalid backend (500)'}${backends.length > 1 ? ` ${sum === 0 ? 0 : Math.round((weight / sum) * 1000) / 10}%` : ''}`,
    )
    .join(', ')
}
