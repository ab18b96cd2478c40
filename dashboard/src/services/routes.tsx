/** The routes attached to a service, rule by rule, each split with its control, and what else is done to its requests. */

import { Badge } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { isAmiss } from '../../../src/api/conditions.ts'
import type { Topology, TopologyService } from '../api/queries.ts'
import type { Kind, Resource } from '../api/resources.ts'
import { kindsQuery, listQuery, pathOfKind, pathOfObject } from '../api/resources.ts'
import { HashLink } from '../shared/hash-link.tsx'
import { Section } from '../shared/page.tsx'
import { serviceName } from '../topology/figures.ts'
import css from './service.module.css'
import { SplitControl } from './split-control.tsx'
import { isAbout, tellEffects, tellPolicy } from './effects.ts'
import { isAttached, specOf, tellMatches } from './split.ts'

const routeKinds = ['httproutes', 'grpcroutes', 'tcproutes']

export function Routes({ service, topology }: { service: TopologyService; topology: Topology }): ReactNode {
  const all = useQuery(kindsQuery).data ?? []
  const kinds = all.filter(kind => kind.group === 'gateway.networking.k8s.io' && routeKinds.includes(kind.plural))
  const [http, grpc, tcp] = routeKinds.map(plural => kinds.find(kind => kind.plural === plural))
  const lists = [useQuery(listQuery(http)), useQuery(listQuery(grpc)), useQuery(listQuery(tcp))]
  const attached = lists.flatMap(list =>
    (list.data?.items ?? []).filter(route => isAttached(route, service)).map(route => ({ route, kind: list.data!.kind })),
  )
  const [faults, limits] = ['faultpolicies', 'ratelimitpolicies'].map(plural =>
    all.find(each => each.group === 'weft.dev' && each.plural === plural),
  )
  const policies = [useQuery(listQuery(faults)), useQuery(listQuery(limits))].flatMap(list =>
    (list.data?.items ?? []).map((policy): Policy => ({ policy, kind: list.data!.kind })),
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
          <RouteCard
            key={`${route.kind} ${route.metadata.name}`}
            route={route}
            kind={kind}
            service={service}
            topology={topology}
            policies={policies}
          />
        ))
      )}
      {attached.length > 1 && <p className="soft">When two routes match alike, the more specific match wins, then the older route.</p>}
    </Section>
  )
}

type Props = {
  readonly route: Resource
  readonly kind: Kind
  readonly service: TopologyService
  readonly topology: Topology
  readonly policies: readonly Policy[]
}
/** One that may be about a route. */
type Policy = { readonly policy: Resource; readonly kind: Kind }

function RouteCard({ route, kind, service, topology, policies }: Props): ReactNode {
  const rules = specOf(route).rules ?? []
  const bad = (route.status?.parents ?? []).flatMap(parent => parent.conditions ?? []).filter(isAmiss)
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
      {policies
        .filter(({ policy }) => isAbout(policy, route))
        .map(({ policy, kind: of }) => (
          <div key={`${policy.kind} ${policy.metadata.name}`} data-testid="route-policy">
            <HashLink to={pathOfObject(of, policy)}>
              {policy.kind} {policy.metadata.name}
            </HashLink>
            <Effects texts={tellPolicy(policy)} />
          </div>
        ))}
      {rules.map((rule, index) => (
        <div key={index} className={css['rule']}>
          <div className={css['match']}>
            <span className="soft">when</span> {tellMatches(rule)}
          </div>
          <Effects texts={tellEffects(rule)} />
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

const Effects = ({ texts }: { texts: readonly string[] }): ReactNode =>
  texts.length === 0 ? null : (
    <ul className={css['effects']} data-testid="effects">
      {texts.map(text => (
        <li key={text}>{text}</li>
      ))}
    </ul>
  )
