/** `weft apply`: reads all, checks all with the server, then applies all and, asked to, waits until the proxies have it. */

import type { Outcome } from '#api/client'
import type { Resource } from '#resources/kind'
import { readAll, type FileFlags } from '../documents.ts'
import { badUsage, exit } from '../exit.ts'
import { shortName } from '../kinds.ts'
import { readDuration } from '../moment.ts'
import { printAs, withoutManagedFields } from '../print.ts'
import { openScope, type Session } from '../session.ts'
import { fieldManager, inOrder, matchKinds, rehearse, tellRefusal, type Planned } from '../apply/plan.ts'

type Flags = FileFlags & {
  readonly wait?: string | true
  readonly dryRun?: string | true
  readonly forceConflicts?: boolean
  readonly output?: 'name' | 'yaml' | 'json'
  readonly namespace?: string
  readonly control?: string
}

const defaultWaitMs = 30_000

export async function apply(session: Session, flags: Flags): Promise<number> {
  const { say } = session
  const waitMs = flags.wait === undefined ? undefined : flags.wait === true ? defaultWaitMs : readDuration(flags.wait)
  const dryRun = flags.dryRun === true ? 'server' : flags.dryRun
  const wrong: string[] = []
  if (flags.wait !== undefined && waitMs === undefined) wrong.push(`--wait "${flags.wait}": must be a duration such as 30s or 1m30s`)
  if (dryRun !== undefined && !['server', 'client', 'none'].includes(dryRun)) wrong.push(`--dry-run "${dryRun}": must be server or client`)
  if (wrong.length > 0) throw badUsage(wrong)

  const found = await session.address(flags.control)
  const documents = await readAll(session, flags, flags.namespace ?? found.namespace)
  if (dryRun === 'client') {
    for (const { kind, metadata } of documents.resources)
      say.out(`${shortName({ singular: kind.toLowerCase() }, metadata.name)} read (dry run)`)
    return exit.ok
  }
  const scope = await openScope(session, flags)
  const planned = matchKinds(session, scope, documents)
  const rehearsed = await rehearse(session, scope.client, planned, documents, { force: flags.forceConflicts ?? false })
  const startedAt = performance.now()
  const outcomes = dryRun === 'server' ? rehearsed : await applyAll(session, scope.client, planned, documents, flags)
  await show(session, planned, outcomes, flags.output, dryRun === 'server')
  if (waitMs === undefined || dryRun === 'server') return exit.ok
  const { waitForProxies, waitForConditions } = await import('../apply/wait.ts')
  const revision = Math.max(...outcomes.map(({ resource }) => Number(resource.metadata.resourceVersion)))
  const isActive = await waitForProxies(session, scope.client, revision, waitMs, startedAt)
  const isMet = await waitForConditions(session, scope.client, planned, outcomes, Math.max(1000, waitMs - (performance.now() - startedAt)))
  return isActive && isMet ? exit.ok : exit.failed
}

/** One after the other: what one needs, such as its namespace, stands before it. Stops at the first refusal and says what was done. */
async function applyAll(
  session: Session,
  client: Parameters<typeof rehearse>[1],
  planned: readonly Planned[],
  documents: Parameters<typeof rehearse>[3],
  flags: Flags,
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = []
  for (const each of inOrder(planned)) {
    try {
      outcomes.push(await client.apply(each.kind, each.resource, { namespace: each.namespace, fieldManager, force: flags.forceConflicts }))
    } catch (thrown) {
      // The rehearsal passed, so this is somebody else's change in between, or the server going away.
      await show(session, planned, outcomes, undefined, false)
      if (outcomes.length > 0)
        session.say.err(`weft: ${outcomes.length} of ${planned.length} documents were applied; apply again to finish`)
      throw tellRefusal(session, thrown, each, documents)
    }
  }
  const byPlan = new Map(inOrder(planned).map((each, at) => [each, outcomes[at]!]))
  return planned.map(each => byPlan.get(each)!)
}

async function show(
  { say }: Session,
  planned: readonly Planned[],
  outcomes: readonly Outcome[],
  output: Flags['output'],
  isDryRun: boolean,
): Promise<void> {
  if (output === 'json' || output === 'yaml') {
    const resources = outcomes.map(({ resource }): Resource => withoutManagedFields(resource))
    return printAs(say, output, resources.length === 1 ? resources[0] : { apiVersion: 'v1', kind: 'List', items: resources })
  }
  for (const [at, { outcome, resource }] of outcomes.entries()) {
    const kind = planned.find(each => each.kind.kind === resource.kind)?.kind ?? planned[at]!.kind
    const name = shortName(kind, resource.metadata.name)
    const colour = { created: 'green', configured: 'yellow', unchanged: 'dim' } as const
    say.out(output === 'name' ? name : `${name} ${say.paint(colour[outcome], outcome)}${isDryRun ? ' (dry run)' : ''}`)
  }
}
