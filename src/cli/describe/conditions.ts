/** Conditions of a status as a table, whoever wrote them. */

import type { Condition } from '#resources/kind'
import type { Say } from '../say.ts'
import { tableLines } from '../table.ts'
import { tellSpan } from '../moment.ts'

type Parent = {
  readonly parentRef?: { readonly kind?: string; readonly name?: string; readonly sectionName?: string }
  readonly conditions?: readonly Condition[]
}
type Status = {
  readonly conditions?: readonly Condition[]
  readonly parents?: readonly Parent[]
  readonly ancestors?: readonly (Parent & { readonly ancestorRef?: Parent['parentRef'] })[]
}

/** Those of the object, and of it at each of its parents. `stale` marks what is about an older version of the spec. */
export function conditionLines(say: Say, status: Status, generation: number, now: number): readonly string[] {
  const groups = [
    { at: '', conditions: status.conditions ?? [] },
    ...[...(status.parents ?? []), ...(status.ancestors ?? [])].map(parent => ({
      at: tellParent((parent as { ancestorRef?: Parent['parentRef'] }).ancestorRef ?? parent.parentRef),
      conditions: parent.conditions ?? [],
    })),
  ]
  const rows = groups.flatMap(({ at, conditions }) =>
    conditions.map(({ type, status: state, reason, message, observedGeneration, lastTransitionTime }) => {
      const isStale = observedGeneration !== undefined && observedGeneration < generation
      return [
        type,
        isStale ? `${state} (stale)` : state,
        reason,
        at,
        lastTransitionTime ? tellSpan(now - Date.parse(lastTransitionTime)) : '',
        message,
      ]
    }),
  )
  if (rows.length === 0) return []
  const style = (cell: string) =>
    cell.endsWith('(stale)') || cell === 'Unknown' ? 'yellow' : cell === 'True' ? 'green' : cell === 'False' ? 'red' : undefined
  return tableLines(
    say,
    [{ name: 'type' }, { name: 'status', style }, { name: 'reason' }, { name: 'at' }, { name: 'since' }, { name: 'message' }],
    rows,
  )
}

const tellParent = (reference: Parent['parentRef']): string =>
  reference?.name === undefined
    ? ''
    : `${(reference.kind ?? 'Gateway').toLowerCase()}/${reference.name}${reference.sectionName ? `:${reference.sectionName}` : ''}`
