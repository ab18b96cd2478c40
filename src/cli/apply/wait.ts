/** Waits until what was applied is in force: active on every proxy, and its conditions met. */

import type { Client, Outcome } from '#api/client'
import { isAmiss } from '#api/conditions'
import type { Convergence } from '#api/mesh-api'
import type { Condition } from '#resources/kind'
import { shortName } from '../kinds.ts'
import { tellSpan } from '../moment.ts'
import { pause, type Session } from '../session.ts'
import { oneLine } from '../table.ts'
import { count } from '../words.ts'
import type { Planned } from './plan.ts'

const everyMs = 50

/** Whether all proxies have the revision active; says so as it comes, and at the end who has not and why. startedAt: of the change, as performance.now(). */
export async function waitForProxies(
  { say, signal }: Session,
  client: Client,
  revision: number,
  waitMs: number,
  startedAt: number,
): Promise<boolean> {
  const until = performance.now() + waitMs
  for (;;) {
    const now = await client.convergence(revision)
    const passed = performance.now() - startedAt
    if (now.active >= now.total) {
      say.progress('')
      say.out(
        now.total === 0
          ? 'no proxy is connected: it becomes active when one is'
          : `${say.paint('green', `active on ${now.active}/${now.total} proxies`)} in ${tellTook(passed)}`,
      )
      return true
    }
    // Whoever refused it will not take it later; the others may still be on their way.
    const isOver = performance.now() >= until || now.active + rejecters(now).size >= now.total
    if (isOver || signal.aborted) {
      say.progress('')
      tellMissing(say, now, passed)
      return false
    }
    say.progress(`active on ${now.active}/${now.total} proxies`)
    await pause(everyMs, signal)
  }
}

const rejecters = ({ rejected }: Convergence): ReadonlySet<string> => new Set(rejected.map(({ proxy }) => proxy))
const tellTook = (ms: number): string => (ms < 1000 ? `${Math.round(ms)} ms` : ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : tellSpan(ms))

function tellMissing(say: Session['say'], now: Convergence, passed: number): void {
  say.out(`${say.paint('red', `active on ${now.active}/${now.total} proxies`)} after ${tellTook(passed)}`)
  for (const { proxy, resource, reason } of now.rejected)
    say.out(`  ${proxy} ${say.paint('red', 'refused')} ${oneLine(resource)}: ${oneLine(reason)}`)
  const quiet = now.pending.filter(id => !rejecters(now).has(id))
  for (const id of quiet.slice(0, 20))
    say.out(`  ${id} ${say.paint('yellow', 'has not confirmed it')}: weft proxy list shows whether it is connected`)
  if (quiet.length > 20) say.out(`  and ${count(quiet.length - 20, 'other')}`)
}

type Held = { readonly conditions: readonly Condition[]; readonly of: string }
type Ref = { readonly kind?: string; readonly name?: string; readonly sectionName?: string }
type Status = {
  readonly conditions?: readonly Condition[]
  readonly parents?: readonly { readonly parentRef?: Ref; readonly conditions?: readonly Condition[] }[]
  /** Of a policy: its targets. */
  readonly ancestors?: readonly { readonly ancestorRef?: Ref; readonly conditions?: readonly Condition[] }[]
}

/** Whether every condition that should be True is; says the others with what they say. A route and a policy get their conditions from the control plane, so one without is waited for. */
export async function waitForConditions(
  session: Session,
  client: Client,
  planned: readonly Planned[],
  outcomes: readonly Outcome[],
  waitMs: number,
): Promise<boolean> {
  const { say, signal } = session
  const until = performance.now() + waitMs
  let isMet = true
  for (const [at, { kind, namespace }] of planned.entries()) {
    const { metadata, spec } = outcomes[at]!.resource
    const { name, generation } = metadata
    const needsSome = kind.kind.endsWith('Route') || (spec as { readonly targetRefs?: unknown } | undefined)?.targetRefs !== undefined
    for (;;) {
      const { status } = await client.get(kind, name, { namespace })
      const { held, isCurrent } = judge((status ?? {}) as Status, generation ?? 0, needsSome)
      if (!isCurrent && performance.now() < until && !signal.aborted) {
        await pause(everyMs, signal)
        continue
      }
      if (!isCurrent) {
        say.err(
          `${shortName(kind, name)}: the control plane has not judged it yet; weft describe ${kind.singular} ${name} shows its conditions`,
        )
        isMet = false
      }
      for (const { conditions, of } of held)
        for (const { type, status: state, reason, message } of conditions) {
          say.err(`${shortName(kind, name)}${of}: ${say.paint('red', `${type} is ${state}`)} (${reason}): ${message}`)
          isMet = false
        }
      break
    }
  }
  return isMet
}

/** isCurrent: the conditions are about this generation. Without any, only a route or a policy is waited for. */
export function judge(
  { conditions = [], parents = [], ancestors = [] }: Status,
  generation: number,
  needsSome: boolean,
): { readonly held: readonly Held[]; readonly isCurrent: boolean } {
  const all: readonly Held[] = [
    { conditions, of: '' },
    ...parents.map(({ parentRef, conditions: theirs = [] }) => ({ conditions: theirs, of: placeOf(parentRef) })),
    ...ancestors.map(({ ancestorRef, conditions: theirs = [] }) => ({ conditions: theirs, of: placeOf(ancestorRef) })),
  ]
  const every = all.flatMap(each => each.conditions)
  const isCurrent =
    every.length === 0
      ? !needsSome
      : every.every(({ observedGeneration }) => observedGeneration === undefined || observedGeneration >= generation)
  return {
    isCurrent,
    held: all.map(({ conditions: theirs, of }) => ({ of, conditions: theirs.filter(isAmiss) })).filter(each => each.conditions.length > 0),
  }
}

const placeOf = (ref: Ref | undefined): string =>
  ref?.name === undefined
    ? ''
    : ` at ${(ref.kind ?? 'Gateway').toLowerCase()}/${ref.name}${ref.sectionName === undefined ? '' : `#${ref.sectionName}`}`
