/** `weft rehearse`: which calls that were seen would go another way, or get another verdict, if these documents were applied. */

import type { CallSeen, CallsSeen } from '#api/mesh-api'
import { whyNotIdTemplate } from '#base/id-template'
import { FileError, readText } from '#io/files'
import { type FileFlags, readAll } from '../documents.ts'
import { badUsage, exit, Stopped } from '../exit.ts'
import { Flags } from '../flags/collect.ts'
import { tellSpan } from '../moment.ts'
import { tellCall } from '../policy/coverage.ts'
import { printAs } from '../print.ts'
import { openScope, type Session } from '../session.ts'
import { printTable } from '../table.ts'
import { count } from '../words.ts'
import { workloadsWithout } from '../world/inventory.ts'
import { readLive, withDocuments } from '../world/live.ts'
import type { Outcome } from '../world/outcome.ts'
import { World } from '../world/world.ts'
import { unseenTold } from './suggest.ts'

type Given = FileFlags & {
  readonly since?: string
  readonly calls?: string
  readonly base?: readonly string[]
  readonly output?: 'table' | 'json' | 'yaml'
  readonly namespace?: string
  readonly control?: string
}

/** before, after: absent where nobody of the called service runs. */
export type Flip = { readonly call: CallSeen; readonly before?: Outcome; readonly after?: Outcome }

type Stage = { readonly current: World; readonly candidate: World; readonly seen: CallsSeen }

/** Fails when something flips. */
export async function rehearse(session: Session, given: Given): Promise<number> {
  const { say } = session
  const flags = new Flags(given)
  const sinceMs = flags.duration('since')
  if (given.base !== undefined && given.calls === undefined) flags.wrong('--base goes with --calls: without a mesh, calls come from a file')
  if (given.calls !== undefined && given.base === undefined) flags.wrong('--calls goes with --base: which documents are there now?')
  flags.stopIfWrong()
  const { current, candidate, seen } = await (given.calls === undefined
    ? stageLive(session, given, sinceMs)
    : stageFiles(session, given, given.calls))
  const flips = flipsOf(current, candidate, seen.calls)
  const refusals = candidate.refusals.filter(each => !current.refusals.includes(each))
  if (given.output === 'json' || given.output === 'yaml') await printAs(say, given.output, { calls: seen.calls.length, flips, refusals })
  else {
    for (const refusal of refusals) say.err(`weft: ${refusal}`)
    if (flips.length > 0)
      printTable(
        say,
        [{ name: 'call' }, { name: 'times', right: true }, { name: 'before' }, { name: 'after' }, { name: 'why' }],
        flips.map(({ call, before, after }) => [
          tellCall(call),
          String(call.count),
          tellOutcome(before, after),
          tellOutcome(after, before),
          after?.says ?? 'nobody of it runs',
        ]),
      )
    const watched = tellSpan(Date.parse(seen.at) - Date.parse(seen.since))
    say.err(`${flips.length} of ${count(seen.calls.length, 'kind')} of calls, seen in ${watched}, would change`)
    if (candidate.unseen > 0) say.err(unseenTold(candidate.unseen))
  }
  return flips.length === 0 ? exit.ok : exit.failed
}

export const flipsOf = (current: World, candidate: World, calls: readonly CallSeen[]): readonly Flip[] =>
  calls.flatMap((call): readonly Flip[] => {
    const before = current.askSeen(call)
    const after = candidate.askSeen(call)
    if (pathOf(before) === pathOf(after)) return []
    return [{ call, ...(before === undefined ? {} : { before }), ...(after === undefined ? {} : { after }) }]
  })

/** What must not change unnoticed: the verdict, the route, where it leads. Which policy allows it may. */
const pathOf = (outcome: Outcome | undefined): string =>
  JSON.stringify([outcome?.verdict, outcome?.route, outcome?.backends, outcome?.demandsIdentity])

/** Only what differs. */
function tellOutcome(one: Outcome | undefined, other: Outcome | undefined): string {
  if (one === undefined) return 'nobody'
  const parts = [
    ...(one.verdict === other?.verdict ? [] : [one.verdict]),
    ...(one.demandsIdentity === other?.demandsIdentity ? [] : [one.demandsIdentity ? 'strict' : 'plaintext taken']),
    ...(one.route === other?.route ? [] : [one.route ?? 'no route']),
    ...(one.backends.join() === other?.backends.join() ? [] : [one.backends.join(', ') || 'no backend']),
  ]
  return parts.join(', ')
}

/** The documents as they would be stored: the server merges them with what is there, and says what is wrong. */
async function stageLive(session: Session, given: Given, sinceMs: number | undefined): Promise<Stage> {
  const scope = await openScope(session, given)
  const documents = await readAll(session, given, scope.namespace)
  const { matchKinds, rehearse: tryOut } = await import('../apply/plan.ts')
  const planned = matchKinds(session, scope, documents)
  const outcomes = await tryOut(session, scope.client, planned, documents, { force: true })
  const now = session.now()
  const { world, seen } = await readLive(scope.client, now, sinceMs === undefined ? undefined : Math.ceil(sinceMs / 1000))
  const placed = outcomes.map(({ resource }, at) =>
    planned[at]!.kind.namespaced && resource.metadata.namespace === undefined
      ? { ...resource, metadata: { ...resource.metadata, namespace: planned[at]!.namespace } }
      : resource,
  )
  return { current: world, candidate: withDocuments(world, placed, now), seen }
}

/** Without a mesh, such as in CI: documents that stand for what is there, and the calls of `GET /weft/v1/calls` in a file. */
async function stageFiles(session: Session, given: Given, file: string): Promise<Stage> {
  const namespace = given.namespace ?? 'default'
  const placed = async (paths: readonly string[] | undefined) =>
    (await readAll(session, { ...given, file: paths ?? [] }, namespace)).resources.map(each =>
      each.metadata.namespace === undefined && !['Namespace', 'Mesh', 'GatewayClass'].includes(each.kind)
        ? { ...each, metadata: { ...each.metadata, namespace } }
        : each,
    )
  const [base, documents, seen] = [await placed(given.base), await placed(given.file), await readCalls(session, file)]
  const trustDomain = /^spiffe:\/\/([^/]+)/.exec(seen.calls.find(({ identity }) => identity !== '')?.identity ?? '')?.[1] ?? 'weft.local'
  const now = session.now()
  const workloads = workloadsWithout(base, [], trustDomain, namespace, seen.idTemplate)
  const current = new World(base, { trustDomain, idTemplate: seen.idTemplate, workloads, now })
  return { current, candidate: withDocuments(current, documents, now), seen }
}

async function readCalls({ edge }: Session, file: string): Promise<CallsSeen> {
  let read: unknown
  try {
    read = JSON.parse(await readText(file.startsWith('/') ? file : `${edge.cwd}/${file}`))
  } catch (thrown) {
    if (thrown instanceof FileError) throw new Stopped(thrown.message)
    throw new Stopped(`${file}: not valid JSON: ${(thrown as Error).message}`)
  }
  const { calls, idTemplate } = (read ?? {}) as { readonly calls?: unknown; readonly idTemplate?: unknown }
  const isCall = (one: unknown): boolean => {
    const { service, identity, port, protocol, method, path } = (one ?? {}) as Record<string, unknown>
    return [service, identity, protocol, method, path].every(each => typeof each === 'string') && typeof port === 'number'
  }
  const whyNot = idTemplate === undefined ? undefined : typeof idTemplate === 'string' ? whyNotIdTemplate(idTemplate) : 'it is no text'
  if (whyNot !== undefined) throw badUsage([`${file}: idTemplate: ${whyNot}`])
  if (!Array.isArray(calls)) throw badUsage([`${file}: has no list "calls": it is to be what GET /weft/v1/calls answers`])
  const bad = calls.findIndex(one => !isCall(one))
  if (bad >= 0) throw badUsage([`${file}: calls[${bad}] needs service, identity, port, protocol, method and path`])
  return read as CallsSeen
}
