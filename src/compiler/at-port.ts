/** What is said of one port of a workload: who is asked, which tokens and limits hold, what it speaks. Of several that say something the first counts. */

import type { Authorizer } from '#model/authorizer'
import type { Backend } from '#model/backend'
import type { Listener, Protocol } from '#model/listener'
import type { Limited, Limits, Mesh, SelectedBodies } from '#model/mesh'
import type { Route } from '#model/route'
import type { TokenPolicy } from '#model/token'
import type { ProxyNode, WorkloadPort } from '#model/workload'
import { portOf, selects } from './services/services.ts'

export function concurrencyAt(mesh: Mesh, node: ProxyNode, port: WorkloadPort): Pick<Listener, 'concurrency'> {
  const found = (mesh.concurrency[node.namespace] ?? []).find(
    each => selects(each.selector, node) && portOf(node, each.target)?.port === port.port,
  )
  return found === undefined ? {} : { concurrency: found.concurrency }
}

/** Who is asked about calls is not asked about the calls by which he is. */
export function authorizerAt(mesh: Mesh, node: ProxyNode, port: WorkloadPort): Authorizer | undefined {
  const found = (mesh.authorizers[node.namespace] ?? []).find(
    ({ selector, target }) =>
      (selector === undefined || selects(selector, node)) && (target === undefined || portOf(node, target)?.port === port.port),
  )
  if (found?.provider === undefined) return found?.authorizer
  const { namespace, selector, target } = found.provider
  const isIt = namespace === node.namespace && selects(selector, node) && portOf(node, target)?.port === port.port
  return isIt ? undefined : found.authorizer
}

export const tokensAt = (mesh: Mesh, node: ProxyNode, port: WorkloadPort): TokenPolicy | undefined =>
  (mesh.tokens[node.namespace] ?? []).find(
    ({ selector, target }) =>
      (selector === undefined || selects(selector, node)) && (target === undefined || portOf(node, target)?.port === port.port),
  )?.policy

export const limitedAt = (mesh: Mesh, node: ProxyNode, port: WorkloadPort): readonly Limited[] =>
  (mesh.rateLimits[node.namespace] ?? []).filter(each => selects(each.selector, node) && portOf(node, each.target)?.port === port.port)

/** For what comes by no route that has limits of its own. */
export function limitsAt(mesh: Mesh, node: ProxyNode, port: WorkloadPort): Limits | undefined {
  const place = (mesh.placeLimits[node.namespace] ?? []).find(each => each.selector === undefined || selects(each.selector, node))
  return (limitedAt(mesh, node, port).find(each => each.limits !== undefined) ?? place)?.limits
}

export const selectedBodies = (mesh: Mesh, node: ProxyNode, port: WorkloadPort): SelectedBodies | undefined =>
  (mesh.bodies[node.namespace] ?? []).find(each => selects(each.selector, node) && portOf(node, each.target)?.port === port.port)

export const bodiesAt = (mesh: Mesh, node: ProxyNode, port: WorkloadPort): Pick<Route, 'sizes' | 'compression'> =>
  selectedBodies(mesh, node, port)?.bodies ?? {}

/** What the workload says; where it says nothing, what the Services say that select it, if they agree: so a server that speaks first is not waited for. */
export function spokenAt(mesh: Mesh, node: ProxyNode, port: WorkloadPort): Protocol {
  if (port.protocol !== 'detect') return port.protocol
  const said = new Set(declaredOf(mesh, node, port).flatMap(each => (each.protocol === 'detect' ? [] : [each.protocol])))
  return said.size === 1 ? [...said][0]! : 'detect'
}

/** Where one Service wants version 1 and another version 2, it is 2: whoever reads that reads both. */
export function headerFor(mesh: Mesh, node: ProxyNode, port: WorkloadPort): Pick<Backend, 'proxyProtocol'> {
  const said = port.protocol === 'udp' ? [] : declaredOf(mesh, node, port).flatMap(each => each.proxyProtocol ?? [])
  return said.length === 0 ? {} : { proxyProtocol: said.includes('v2') ? 'v2' : 'v1' }
}

const declaredOf = (mesh: Mesh, node: ProxyNode, port: WorkloadPort): Mesh['declared'][string] =>
  (mesh.declared[node.namespace] ?? []).filter(each => selects(each.selector, node) && portOf(node, each.target)?.port === port.port)
