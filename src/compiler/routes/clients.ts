/** For which clients a route holds, where it does not for all: its annotation `weft.dev/from`, for which Gateway API has no field. */

import type { ClientMatch } from '#model/mesh'
import type { Resource } from '#resources/kind'
import type { ClientSpec } from '#resources/weft'
import { clientsOf } from '../clients.ts'
import { namespaceOf } from '../gather.ts'

const fromAnnotation = 'weft.dev/from'
const where = `metadata.annotations["${fromAnnotation}"]`

/** wrong: what is wrong with the annotation, with its place. from: absent for everybody. */
export type RouteClients = { readonly from?: readonly ClientMatch[]; readonly wrong?: string }

/**
 * `service=checkout`, `service=web, labels.tier=canary; namespace=ops`: clients parted by `;`, of each all that it says, parted by `,`.
 * scope: for a consumer route the namespace whose clients it is for.
 */
export function clientsOfRoute(route: Resource, scope: string | undefined): RouteClients {
  const text = route.metadata.annotations?.[fromAnnotation]
  if (text === undefined) return {}
  const no = (says: string): RouteClients => ({ wrong: `${where}: ${says}` })
  const clients: ClientSpec[] = []
  for (const part of text.split(';')) {
    const client: { namespace?: string; service?: string; labels?: Record<string, string> } = {}
    for (const word of part.split(',')) {
      const equals = word.indexOf('=')
      const [key, value] = [word.slice(0, equals).trim(), word.slice(equals + 1).trim()]
      if (equals < 0 || value === '')
        return no(
          `"${word.trim()}" is not NAME=VALUE: write service=NAME, namespace=NAME or labels.KEY=VALUE, "," between them, ";" before the next client`,
        )
      if (key === 'service' || key === 'namespace') {
        if (client[key] !== undefined) return no(`${key} is there twice for one client: part clients by ";"`)
        client[key] = value
      } else if (/^labels\.[A-Za-z0-9]/.test(key)) (client.labels ??= {})[key.slice('labels.'.length)] = value
      else return no(`"${key}" says nothing of a client: known are service, namespace and labels.KEY`)
    }
    clients.push(client)
  }
  if (clients.length > 16) return no(`names ${clients.length} clients; at most 16 are allowed`)
  const own = namespaceOf(route)
  const foreign = clients.find(({ namespace = own }) => scope !== undefined && namespace !== scope)
  if (foreign !== undefined)
    return no(
      `namespace=${foreign.namespace}: a route for a Service of another namespace holds for clients of its own namespace, ${own}, only`,
    )
  return { from: clientsOf(clients, own) }
}

export const namesItsClients = ({ metadata }: Resource): boolean => metadata.annotations?.[fromAnnotation] !== undefined
