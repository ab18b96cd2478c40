/** The status of a Gateway: of each listener, and of the whole, in the words of Gateway API. */

import type { Inventory, Workload } from '#model/workload'
import type { Gateway } from '#resources/gateway-api'
import type { Fault } from './edge-certificates.ts'
import type { EdgeListener } from './edge-listeners.ts'
import type { EdgeRoutes } from './edge-tables.ts'
import { namespaceOf, nameOf } from './gather.ts'
import type { ListenerStatus, ResourceStatus } from './status.ts'
import { insecure, state, statusFor } from './status.ts'

/** The address on which all listeners are bound: the one that the Gateway asks for, else any of the machine. */
export function addressOf({ spec }: Gateway): { readonly host: string; readonly refused?: Fault } {
  const asked = whyNot(spec)
  if (asked !== undefined) return { host: '0.0.0.0', refused: asked }
  const [first, ...others] = spec?.addresses ?? []
  if (first === undefined) return { host: '0.0.0.0' }
  const no = (says: string) => ({ host: '0.0.0.0', refused: { reason: 'UnsupportedAddress', says } })
  if (first.type !== 'IPAddress') return no(`spec.addresses[0].type: ${first.type} is not carried out, only IPAddress`)
  if (others.length > 0) return no('spec.addresses: one address at most is carried out')
  if (first.value !== undefined && !/^[0-9.]+$|:/.test(first.value)) return no(`spec.addresses[0].value: "${first.value}" is no IP address`)
  return { host: first.value ?? '0.0.0.0' }
}

/** What the whole Gateway asks for and is not carried out. */
function whyNot(spec: Gateway['spec']): Fault | undefined {
  if (spec?.tls?.backend?.clientCertificateRef !== undefined)
    return {
      reason: 'Invalid',
      says: 'spec.tls.backend.clientCertificateRef: backends are shown the identity of the mesh, and nothing else',
    }
  if (spec?.infrastructure?.parametersRef !== undefined)
    return { reason: 'InvalidParameters', says: 'spec.infrastructure.parametersRef: nothing can be set by parameters' }
  if (spec?.defaultScope === 'All') return { reason: 'Invalid', says: 'spec.defaultScope: default Gateways are not carried out yet' }
  return undefined
}

export function reportGateway(
  gateway: Gateway,
  listeners: readonly EdgeListener[],
  attached: EdgeRoutes,
  { workloads }: Inventory,
): ResourceStatus {
  const proxies = workloads.filter(each => each.namespace === namespaceOf(gateway) && each.gateway?.name === gateway.metadata.name)
  const serving = proxies.filter(({ health }) => health === 'healthy' || health === 'degraded')
  const { refused } = addressOf(gateway)
  const pending = refused?.says ?? whyPending(gateway, proxies, serving)
  const invalid = listeners.filter(each => !each.holds)
  const isTaken = refused === undefined && invalid.length < listeners.length
  const names = invalid.map(({ spec }) => spec.name).join(', ')
  const isProgrammed = isTaken && pending === undefined
  return statusFor(gateway, {
    conditions: [
      refused !== undefined
        ? state(gateway, 'Accepted', false, refused.reason, refused.says)
        : state(
            gateway,
            'Accepted',
            isTaken,
            invalid.length > 0 ? 'ListenersNotValid' : 'Accepted',
            invalid.length > 0 ? `of ${names} the conditions say what is wrong` : 'The Gateway holds',
          ),
      state(
        gateway,
        'Programmed',
        isProgrammed,
        isProgrammed ? 'Programmed' : isTaken ? 'Pending' : 'Invalid',
        isProgrammed ? 'Its proxies listen' : (pending ?? `no listener can be opened: of ${names} the conditions say what is wrong`),
      ),
      ...(listeners.some(each => each.callers?.isRequired === false)
        ? [state(gateway, insecure, true, 'ConfigurationChanged', 'Callers without a valid certificate are served')]
        : []),
    ],
    listeners: listeners.map(each => reportListener(gateway, each, attached.get(each)?.length ?? 0, pending)),
    addresses: [...new Set(serving.map(each => each.gateway!.address))].map(value => ({
      type: /^[0-9.]+$|:/.test(value) ? ('IPAddress' as const) : ('Hostname' as const),
      value,
    })),
  })
}

function whyPending(gateway: Gateway, proxies: readonly Workload[], serving: readonly Workload[]): string | undefined {
  if (serving.length > 0) return undefined
  if (proxies.length === 0)
    return `no proxy carries it out: weft gateway --name ${gateway.metadata.name} --namespace ${namespaceOf(gateway)}`
  return `of its proxies none is healthy: ${proxies.map(({ name }) => name).join(', ')}; perhaps a port cannot be opened there, its log says which`
}

function reportListener(gateway: Gateway, listener: EdgeListener, routes: number, pending: string | undefined): ListenerStatus {
  const { refused, conflict, unresolved, holds, spec, kinds } = listener
  const no = conflict ?? refused
  const isProgrammed = holds && pending === undefined
  return {
    name: spec.name,
    supportedKinds: kinds,
    attachedRoutes: routes,
    conditions: [
      state(gateway, 'Accepted', no === undefined, no?.reason ?? 'Accepted', no?.says ?? 'The listener holds'),
      state(
        gateway,
        'Programmed',
        isProgrammed,
        isProgrammed ? 'Programmed' : holds ? 'Pending' : 'Invalid',
        isProgrammed ? `Port ${spec.port} is open` : holds ? pending! : (no ?? unresolved)!.says,
      ),
      state(
        gateway,
        'ResolvedRefs',
        unresolved === undefined,
        unresolved?.reason ?? 'ResolvedRefs',
        unresolved?.says ?? 'All references lead somewhere',
      ),
      state(
        gateway,
        'Conflicted',
        conflict !== undefined,
        conflict?.reason ?? 'NoConflicts',
        conflict?.says ?? `Gateway ${nameOf(gateway)} has no other like it`,
      ),
    ],
  }
}
