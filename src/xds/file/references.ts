/** Names that lead nowhere: over xDS what is missing may still come, in a file it never does. */

import type { Problem } from '#base/note'
import type { WeightedBackend } from '#model/route'
import type { View } from '#model/view'

/** origins: the place of each resource, by `listeners/NAME`, `routes/NAME`, `backends/NAME`. */
export function dangling(view: View, origins: ReadonlyMap<string, Problem['place']>): readonly Problem[] {
  const problems: Problem[] = []
  const missing = (kind: string, name: string, says: string): void =>
    void problems.push({ place: origins.get(`${kind}/${name}`), about: `${kind.slice(0, -1)} "${name}"`, says })
  const check = (kind: string, name: string, backends: readonly WeightedBackend[]): void => {
    for (const { backend } of backends)
      if (backend !== undefined && view.backends[backend] === undefined)
        missing(kind, name, `there is no cluster "${backend}" in this file`)
  }
  for (const { name, routes, backends } of Object.values(view.listeners)) {
    if (routes !== undefined && view.routes[routes] === undefined)
      missing('listeners', name, `there is no route table "${routes}" in this file`)
    check('listeners', name, backends ?? [])
  }
  for (const table of Object.values(view.routes))
    for (const { action } of table.hosts.flatMap(host => host.routes))
      if (action.type === 'forward') check('routes', table.name, action.backends)
  for (const { name, fallback } of Object.values(view.backends))
    if (fallback !== undefined && view.backends[fallback] === undefined)
      missing('backends', name, `there is no cluster "${fallback}" in this file, to which it falls back`)
  for (const { name, type } of Object.values(view.backends))
    if (type === 'endpoints' && view.endpoints[name] === undefined)
      missing('backends', name, 'it has no endpoints in this file: give it load_assignment, or a ClusterLoadAssignment beside it')
  for (const name of Object.keys(view.endpoints))
    if (view.backends[name] === undefined) missing('endpoints', name, `there is no cluster "${name}" in this file`)
  return problems
}
