/** The routes attached to a service, rule by rule, each split with its control. */

import { Badge } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import type { Topology, TopologyService } from '../api/queries.ts'
import type { Kind, Resource } from '../api/resources.ts'
import { kindsQuery, listQuery, pathOfKind, pathOfObject } from '../api/resources.ts'
import { HashLink } from '../shared/hash-link.tsx'
import { Section } from '../shared/page.tsx'
import { serviceName } from '../topology/figures.ts'
import css from './service.module.css'
import { SplitControl } from './split-control.tsx'
import { isAttached, specOf, tellMatches } from './split.ts'

const routeKinds = ['httproutes', 'grpcroutes', 'tcproutes']

export function Routes({ service, topology }: { service: TopologyService; topology: Topology }): ReactNode {
  const kinds = (useQuery(kindsQuery).data ?? []).filter(
    kind => kind.group === 'gateway.networking.k8s.io' && routeKinds.includes(kind.plural),
  )
  const [http, grpc, tcp] = routeKinds.map(plural => kinds.find(kind => kind.plural === plural))
  const lists = [useQuery(listQuery(http)), useQuery(listQuery(grpc)), useQuery(listQuery(tcp))]
  const attached = lists.flatMap(list =>
    (list.data?.items ?? []).filter(route => isAttached(route, service)).map(route => ({ route, kind: list.data!.kind })),
  )
  return (
    <Section
      title="Routes"
      testid="routes"
      aside={
        http && (
          <HashLink
            to={`${pathOfKind(http)}/new?template=split&service=${encodeURIComponent(serviceName(service))}`}
            className={css['add'] ?? ''}
          >
            <IconPlus size={14} aria-hidden /> New route
          </HashLink>
        )
      }
    >
      {attached.length === 0 ? (
        <p className="soft">
          No route is attached to this service: calls go to its own workloads. A route splits them over versions or sends some elsewhere.
        </p>
      ) : (
        attached.map(({ route, kind }) => (
          <RouteCard key={`${route.kind} ${route.metadata.name}`} route={route} kind={kind} service={service} topology={topology} />
        ))
      )}
      {attached.length > 1 && <p className="soft">When two routes match alike, the more specific match wins, then the older route.</p>}
    </Section>
  )
}

type Props = { readonly route: Resource; readonly kind: Kind; readonly service: TopologyService; readonly topology: Topology }

function RouteCard({ route, kind, service, topology }: Props): ReactNode {
  const rules = specOf(route).rules ?? []
  const bad = (route.status?.parents ?? []).flatMap(parent => parent.conditions ?? []).filter(condition => condition.status === 'False')
  return (
    <article className={`panel ${css['route']}`} data-testid="route" data-route={route.metadata.name}>
      <header>
        <HashLink to={pathOfObject(kind, route)}>{route.metadata.name}</HashLink>
        <Badge size="sm" variant="light" color="gray">
          {route.kind}
        </Badge>
        {bad.map(condition => (
          <span key={condition.type} className="bad">
            {condition.type} {condition.reason}: {condition.message}
          </span>
        ))}
      </header>
      {rules.map((rule, index) => (
        <div key={index} className={css['rule']}>
          <div className={css['match']}>
            <span className="soft">when</span> {tellMatches(rule)}
            {(rule.filters ?? []).map(filter => (
              <Badge key={filter.type} size="xs" variant="outline" color="gray">
                {filter.type}
              </Badge>
            ))}
          </div>
          {(rule.backendRefs ?? []).length > 1 ? (
            <SplitControl route={route} kind={kind} rule={index} service={service} topology={topology} />
          ) : (
            <div>
              {(rule.backendRefs ?? []).map(ref => (
                <span key={ref.name}>
                  <span className="soft">to</span>{' '}
                  <HashLink to={`/resources/core/v1/services/${ref.namespace ?? route.metadata.namespace ?? 'default'}/${ref.name}`}>
                    {ref.name}
                  </HashLink>
                </span>
              ))}
            </div>
          )}
        </div>
      ))}
    </article>
  )
}
