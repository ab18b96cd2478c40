/** How a request from outside begins at a Gateway: at which port, and what becomes of its TLS there. */

import type { FailureCode } from '#base/failure'
import { terminatedAt } from '../server-name.ts'
import type { Question } from './question.ts'
import type { Listener, Terminated } from '../listener.ts'
import type { View } from '../view.ts'

/** name: the server name that the caller asks for. entry: of the listener's names, the one that takes it. */
export type TlsTold = {
  readonly name: string
  readonly entry: readonly string[]
  readonly becomes: 'ended' | 'passed on'
  /** Whether callers must show a certificate; absent: nobody is asked. */
  readonly certificates?: 'required' | 'optional'
}
/** met: the listener as this caller meets it. */
export type Entered =
  | { readonly met: Listener; readonly tls?: TlsTold }
  | { readonly listener?: Listener; readonly failure: { readonly code: FailureCode; readonly detail: string } }

/** Whether it is a view of a Gateway's proxy. */
export const isEdge = ({ listeners }: View): boolean => Object.values(listeners).some(each => each.direction === 'gateway')

export function enter({ listeners }: View, asked: Question): Entered {
  const transport = asked.transport ?? 'tcp'
  const all = Object.values(listeners).filter(each => each.direction === 'gateway' && (each.protocol === 'udp') === (transport === 'udp'))
  const ports = [...new Set(all.map(each => each.port))]
  const port = asked.port ?? (ports.length === 1 ? ports[0]! : asked.isSecure === true ? 443 : 80)
  const listener = all.find(each => each.port === port)
  if (listener === undefined)
    return {
      failure: {
        code: 'no-listener',
        detail: `the Gateway has no port ${port}${transport === 'udp' ? ' of UDP' : ''} open; it has ${ports.join(', ') || 'none'}`,
      },
    }
  const name = (asked.serverName ?? asked.name).toLowerCase()
  const isSecure = asked.isSecure === true || asked.serverName !== undefined
  const no = (code: FailureCode, detail: string): Entered => ({ listener, failure: { code, detail } })
  if (listener.terminates === undefined) {
    if (isSecure && listener.routes !== undefined) return no('bad-request', `port ${port} takes HTTP without TLS: ask http://`)
    return {
      met: isSecure ? { ...listener } : listener,
      ...(listener.serverNames === undefined ? {} : { tls: { name, entry: [], becomes: 'passed on' } }),
    }
  }
  if (!isSecure) return no('tls-failed', `port ${port} takes TLS only: ask https://`)
  const found = terminatedAt(listener, name)
  if (found === undefined)
    return no('tls-failed', `no listener of port ${port} has the name "${name}"; they have ${listener.terminates.map(namesOf).join(', ')}`)
  const { routes, backends, callers, certificates } = found
  const { terminates: _, ...rest } = listener
  return {
    met: {
      ...rest,
      protocol: routes === undefined ? 'tcp' : listener.protocol,
      ...(routes === undefined ? {} : { routes }),
      ...(backends === undefined ? {} : { backends }),
    },
    tls: {
      name,
      entry: found.names,
      becomes: certificates.length > 0 ? 'ended' : 'passed on',
      ...(callers === undefined ? {} : { certificates: callers.isRequired ? 'required' : 'optional' }),
    },
  }
}

const namesOf = ({ names }: Terminated): string => names.join(', ') || 'all names'
