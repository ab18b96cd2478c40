/** Last stage: the conditions of each route, Gateway and policy, saying what was taken, what was refused and why. */

import type { Resource } from '#resources/kind'
import type { Unsupported } from './routes/filters.ts'
import type { Verdict } from './routes/parents.ts'
import type { LoweredRoute } from './routes/rules.ts'
import type { ParentStatus, ResourceStatus, Stated } from './status.ts'
import { controllerName, state, statusFor } from './status.ts'

export type Outcome = {
  readonly refs: LoweredRoute['refs']
  readonly invalid: ReadonlyMap<number, readonly Unsupported[]>
  readonly ruleCount: number
}

const answers: Readonly<Record<string, string>> = {
  TCPRoute: 'connections are closed',
  TLSRoute: 'connections are closed',
  UDPRoute: 'datagrams are refused',
  GRPCRoute: 'calls that match are answered INTERNAL',
}

const tell = (list: readonly Unsupported[]): string => list.map(each => `${each.path}: ${each.says}`).join('; ')

/** verdicts: what each parent makes of the route. A route that no parent of ours is asked for has no status of ours. */
export function reportRoute(route: Resource, verdicts: readonly Verdict[], outcome: Outcome): ResourceStatus {
  const parents = verdicts.map(({ parentRef, reason, says, conflict, controllerName: own = controllerName }): ParentStatus => {
    const conditions = reason === undefined ? taken(route, outcome, says) : [state(route, 'Accepted', false, reason, says)]
    const lost = conflict === undefined ? [] : [state(route, 'Conflicted', true, conflict.reason, conflict.says)]
    return { parentRef, controllerName: own, conditions: [...conditions, ...lost, ...resolvedRefs(route, outcome)] }
  })
  return statusFor(route, { parents })
}

/** PartiallyInvalid stands only beside rules that hold; a route without any is not accepted (Gateway API RouteConditionPartiallyInvalid). */
function taken(route: Resource, { invalid, ruleCount }: Outcome, says: string): readonly Stated[] {
  const list = [...invalid.values()].flat()
  if (list.length === 0) return [state(route, 'Accepted', true, 'Accepted', says)]
  const answer = answers[route.kind] ?? 'requests that match are answered 500'
  if (invalid.size >= ruleCount) return [state(route, 'Accepted', false, 'UnsupportedValue', `${tell(list)}; ${answer}`)]
  const which = [...invalid.keys()].join(', ')
  return [
    state(route, 'Accepted', true, 'Accepted', 'The route holds, but for the rules that PartiallyInvalid names'),
    state(route, 'PartiallyInvalid', true, 'UnsupportedValue', `Dropped Rule ${which}: ${tell(list)}; ${answer}`),
  ]
}

function resolvedRefs(route: Resource, { refs }: Outcome): readonly Stated[] {
  const first = refs[0]
  if (first === undefined) return [state(route, 'ResolvedRefs', true, 'ResolvedRefs', 'All backendRefs lead somewhere')]
  const isFilter = refs.some(each => each.path.endsWith('.extensionRef'))
  const answer = isFilter ? 'the share of a backend is refused, and all that matches a rule without its filter' : 'their share is refused'
  return [state(route, 'ResolvedRefs', false, first.reason, `${tell(refs)}; ${answer}`)]
}
