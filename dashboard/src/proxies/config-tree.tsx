/** A view as a person follows it: a listener, the routes behind it, where they lead, who answers there. */

import { Badge } from '@mantine/core'
import type { ReactNode } from 'react'
import { useState } from 'react'
import type { Filter } from '../../../src/model/filter.ts'
import type { Listener } from '../../../src/model/listener.ts'
import type { Action, Match, Route, WeightedBackend } from '../../../src/model/route.ts'
import type { View } from '../../../src/model/view.ts'
import css from './config-tree.module.css'

export function ConfigTree({ view }: { view: View }): ReactNode {
  const [wanted, setWanted] = useState('')
  const listeners = Object.values(view.listeners).filter(listener =>
    `${listener.name} ${listener.service}`.toLowerCase().includes(wanted.toLowerCase()),
  )
  const sides = [
    { title: 'Inbound: what callers reach', list: listeners.filter(listener => listener.direction === 'inbound') },
    { title: 'Outbound: what this workload can call', list: listeners.filter(listener => listener.direction === 'outbound') },
  ]
  return (
    <div>
      <input
        className={css['search']}
        placeholder="Only listeners with…"
        aria-label="Only listeners with"
        value={wanted}
        onChange={event => setWanted(event.target.value)}
      />
      {sides.map(
        ({ title, list }) =>
          list.length > 0 && (
            <div key={title} className={`panel ${css['side']}`}>
              <h3>{title}</h3>
              {list.map(listener => (
                <ListenerNode key={listener.name} listener={listener} view={view} />
              ))}
            </div>
          ),
      )}
      {view.dns.length > 0 && (
        <details className={`panel ${css['side']}`}>
          <summary>
            <b>Names</b> <span className="soft">{view.dns.length} names that its DNS answers</span>
          </summary>
          <ul className={css['names']}>
            {view.dns.map(entry => (
              <li key={entry.name}>
                <span className="mono">{entry.name}</span> <span className="soft mono">{entry.addresses.join(', ')}</span>
              </li>
            ))}
          </ul>
        </details>
      )}
      <p className="soft">
        Trust domain <b>{view.trust.domain}</b>, {view.trust.roots.length} accepted {view.trust.roots.length === 1 ? 'root' : 'roots'}.
      </p>
    </div>
  )
}

const Tag = ({ children, colour = 'gray' }: { children: ReactNode; colour?: string }): ReactNode => (
  <Badge size="sm" variant="light" color={colour}>
    {children}
  </Badge>
)

function ListenerNode({ listener, view }: { listener: Listener; view: View }): ReactNode {
  const table = listener.routes === undefined ? undefined : view.routes[listener.routes]
  return (
    <details className={css['node']} open={listener.direction === 'inbound'} data-testid="listener">
      <summary>
        <b>{listener.service || listener.name}</b>
        <span className="mono soft">
          {listener.host}:{listener.port}
        </span>
        <Tag>{listener.protocol}</Tag>
        {listener.tls && <Tag colour={listener.tls.mode === 'strict' ? 'teal' : 'orange'}>mTLS {listener.tls.mode}</Tag>}
      </summary>
      <div className={css['inner']}>
        {listener.routes !== undefined && !table && <p className="bad">Its route table {listener.routes} is missing.</p>}
        {table?.hosts.map(host => (
          <div key={host.name}>
            {!(host.domains.length === 1 && host.domains[0] === '*') && <div className="soft">host {host.domains.join(', ')}</div>}
            {host.routes.map(route => (
              <RouteNode key={route.name} route={route} view={view} />
            ))}
          </div>
        ))}
        {listener.backends && (
          <div>
            {table && <div className="soft">what is not HTTP</div>}
            <Backends backends={listener.backends} view={view} />
          </div>
        )}
      </div>
    </details>
  )
}

const RouteNode = ({ route, view }: { route: Route; view: View }): ReactNode => (
  <div className={css['route']}>
    <div className={css['line']}>
      <span className="soft">when</span> <span className="mono">{tellMatch(route.match)}</span>
      {route.filters.map((filter, index) => (
        <Tag key={index}>{tellFilter(filter)}</Tag>
      ))}
      {route.timeouts?.requestMs ? <Tag>timeout {route.timeouts.requestMs} ms</Tag> : null}
      <span className={`soft ${css['origin']}`}>{route.origin}</span>
    </div>
    <ActionNode action={route.action} view={view} />
  </div>
)

function ActionNode({ action, view }: { action: Action; view: View }): ReactNode {
  if (action.type === 'forward') return <Backends backends={action.backends} view={view} />
  if (action.type === 'redirect') {
    const { scheme, host, port, path, status } = action.redirect
    return (
      <div className={css['backend']}>
        redirect {status} to{' '}
        <span className="mono">
          {scheme ?? ''} {host ?? 'same host'}
          {port ? `:${port}` : ''} {path === undefined ? '' : path.type === 'regex' ? `${path.pattern} → ${path.substitution}` : path.value}
        </span>
      </div>
    )
  }
  return (
    <div className={action.reason === undefined ? css['backend'] : `${css['backend']} bad`}>
      answers {action.status} {action.reason === undefined ? 'by itself' : `${action.reason}: ${action.detail}`}
    </div>
  )
}

function Backends({ backends, view }: { backends: readonly WeightedBackend[]; view: View }): ReactNode {
  const total = backends.reduce((sum, backend) => sum + backend.weight, 0)
  return backends.map((weighted, index) => {
    const share = total > 0 ? `${Math.round((weighted.weight / total) * 100)} %` : '0 %'
    const backend = weighted.backend === undefined ? undefined : view.backends[weighted.backend]
    const endpoints = (weighted.backend !== undefined && view.endpoints[weighted.backend]?.endpoints) || []
    return (
      <details key={`${weighted.backend} ${index}`} className={css['backend']}>
        <summary>
          {backends.length > 1 && <b className="number">{share}</b>}
          {weighted.backend === undefined ? (
            <span className="bad">an invalid reference, answered 500</span>
          ) : (
            <span>{weighted.backend}</span>
          )}
          {backend && <Tag>{backend.protocol}</Tag>}
          {backend?.type === 'local' ? (
            <span className="soft">the workload itself</span>
          ) : (
            <span className={endpoints.length === 0 ? 'bad' : 'soft'}>
              {endpoints.length === 1 ? '1 endpoint' : `${endpoints.length} endpoints`}
            </span>
          )}
        </summary>
        <div className={css['inner']}>
          {backend && (
            <div className="soft">
              {backend.balance}, connects within {backend.connectTimeoutMs} ms
              {backend.identities.length > 0 && `, expects ${backend.identities.join(' or ')}`}
            </div>
          )}
          {endpoints.map(endpoint => (
            <div key={`${endpoint.host}:${endpoint.port}`} className={css['line']}>
              <span className="mono">
                {endpoint.host}:{endpoint.port}
              </span>
              <span>{endpoint.workload}</span>
              <Tag colour={endpoint.health === 'healthy' ? 'teal' : endpoint.health === 'unhealthy' ? 'red' : 'orange'}>
                {endpoint.health}
              </Tag>
              {endpoint.mtls ? <Tag colour="teal">mTLS</Tag> : <Tag colour="orange">plaintext</Tag>}
            </div>
          ))}
        </div>
      </details>
    )
  })
}

function tellMatch(match: Match): string {
  const path =
    match.path && !(match.path.type === 'prefix' && match.path.value === '/')
      ? `${match.path.value}${match.path.type === 'prefix' ? '…' : match.path.type === 'regex' ? ' (regex)' : ''}`
      : undefined
  const parts = [
    [match.method, path].filter(Boolean).join(' '),
    ...(match.headers ?? []).map(header => `${header.name}${header.type === 'regex' ? ' ~ ' : ': '}${header.value}`),
    ...(match.query ?? []).map(query => `?${query.name}${query.type === 'regex' ? ' ~ ' : '='}${query.value}`),
  ].filter(part => part !== '')
  return parts.join(' · ') || 'everything'
}

const tellFilter = (filter: Filter): string => {
  if (filter.type === 'rewrite') return `rewrites ${[filter.host && 'host', filter.path && 'path'].filter(Boolean).join(' and ')}`
  const names = [...filter.change.set, ...filter.change.add].map(header => header.name)
  const removed = filter.change.remove.map(name => `−${name}`)
  return `${filter.type === 'request-headers' ? 'request' : 'response'} headers ${[...names, ...removed].join(', ')}`
}
