/** For what policies of requests hold: each target's policies in the order in which they count, and what is said of each. */

import { gatewayGroup } from '#resources/gateway-api'
import type { Resource } from '#resources/kind'
import type { RouteTarget } from '#resources/weft'
import { nameOf, namespaceOf } from './gather.ts'
import type { ServicePort, Services } from './services.ts'
import type { ResourceStatus, Stated } from './status.ts'
import { controllerName, state, statusFor } from './status.ts'

type AnyPolicy = Resource<{ readonly targetRefs: readonly RouteTarget[] }>
type AnyRoute = Resource<{ readonly rules?: readonly { readonly name?: string | undefined }[] | undefined }>

/** Why a policy does not hold for a target although that is there. */
export type Objection = { readonly reason: 'Invalid' | 'Expired'; readonly says: string }

export type Targets<P> = {
  /** No policy holds for anything. */
  readonly isEmpty: boolean
  /** For the requests of one route of a port, the one that counts first; routeName: of the model, `KIND/NAMESPACE/NAME/RULE[.MATCH]`. port: absent at Gateways. */
  readonly of: (port: ServicePort | undefined, routeName: string) => readonly P[]
  /** Those for the port and its Service only. */
  readonly ofPort: (port: ServicePort) => readonly P[]
  readonly statuses: readonly ResourceStatus[]
}

/**
 * policies: oldest first. variant: policies for one target of different variants hold beside each other, those of a variant other than '' first.
 * objection: what is wrong with a policy at a target; path: of the targetRef. serves: for which ports of a Service it can do anything. isHeld: whether some parent takes the route.
 */
export function findTargets<P extends AnyPolicy>(
  policies: readonly P[],
  services: Services,
  routes: readonly AnyRoute[],
  variant: (policy: P) => string,
  objection: (policy: P, ref: RouteTarget, path: string, route: AnyRoute | undefined) => Objection | undefined,
  serves: { readonly port: (policy: P, port: ServicePort) => boolean; readonly says: string },
  isHeld: (route: Resource) => boolean,
): Targets<P> {
  const byTarget = new Map<string, P[]>() // `Service NAMESPACE/NAME[#PORTNAME]`, `HTTPRoute NAMESPACE/NAME[#RULENAME]`
  const byName = new Map(routes.map(route => [`${route.kind} ${nameOf(route)}`, route]))
  const statuses = policies.map(policy => {
    const ancestors = (policy.spec?.targetRefs ?? []).map((ref, at) => ({
      ancestorRef: {
        group: ref.kind === 'Service' ? '' : gatewayGroup,
        kind: ref.kind,
        namespace: namespaceOf(policy),
        name: ref.name,
        ...(ref.sectionName === undefined ? {} : { sectionName: ref.sectionName }),
      },
      controllerName,
      conditions: [judge(policy, ref, `spec.targetRefs[${at}]`)],
    }))
    return statusFor(policy, { ancestors })
  })

  function judge(policy: P, ref: RouteTarget, path: string): Stated {
    const whole = `${ref.kind} ${namespaceOf(policy)}/${ref.name}`
    const target = ref.sectionName === undefined ? whole : `${whole}#${ref.sectionName}`
    const no = (reason: string, says: string): Stated => state(policy, 'Accepted', false, reason, `${path}: ${says}`)
    const route = byName.get(whole)
    if (ref.kind === 'Service') {
      const ports = services.by.get(`${namespaceOf(policy)}/${ref.name}`)
      if (ports === undefined) return no('TargetNotFound', `${whole} does not exist`)
      const named = ref.sectionName === undefined ? ports : ports.filter(port => port.name === ref.sectionName)
      if (named.length === 0) return no('TargetNotFound', `${whole} has no port named ${ref.sectionName}`)
      if (!named.some(port => serves.port(policy, port)))
        return no('Invalid', `${named.map(port => `port ${port.port} speaks ${port.protocol}`).join(', ')}: ${serves.says}`)
    } else {
      if (route === undefined) return no('TargetNotFound', `${whole} does not exist`)
      if (ref.sectionName !== undefined && !(route.spec?.rules ?? []).some(rule => rule.name === ref.sectionName))
        return no('TargetNotFound', `${whole} has no rule named ${ref.sectionName}`)
      if (!isHeld(route)) return no('Invalid', `nothing goes by ${whole}: its own status says why no parent takes it`)
    }
    const wrong = objection(policy, ref, path, route)
    if (wrong !== undefined) return state(policy, 'Accepted', false, wrong.reason, wrong.says)
    const others = byTarget.get(target) ?? []
    const before = others.find(other => variant(other) === variant(policy))
    if (before !== undefined) return no('Conflicted', `${policy.kind} ${nameOf(before)} is older and holds for the same target`)
    byTarget.set(
      target,
      [...others, policy].sort((one, other) => Number(variant(one) === '') - Number(variant(other) === '')),
    )
    return state(policy, 'Accepted', true, 'Accepted', 'The policy holds')
  }

  const ofPort = (port: ServicePort): readonly P[] => {
    const service = `Service ${port.namespace}/${port.service}`
    return [...(port.name === undefined ? [] : (byTarget.get(`${service}#${port.name}`) ?? [])), ...(byTarget.get(service) ?? [])]
  }
  return {
    isEmpty: byTarget.size === 0,
    statuses,
    ofPort,
    of: (port, routeName) => {
      const [kind, namespace, name, place] = routeName.split('/')
      const whole = `${kind} ${namespace}/${name}`
      const rule = byName.get(whole)?.spec?.rules?.[Number.parseInt(place ?? '', 10)]?.name
      const own = rule === undefined ? [] : (byTarget.get(`${whole}#${rule}`) ?? [])
      const ofRoute = kind === 'Service' ? [] : (byTarget.get(whole) ?? [])
      return [...own, ...ofRoute, ...(port === undefined ? [] : ofPort(port))]
    },
  }
}
