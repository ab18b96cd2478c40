/** `weft delete`: removes the named resources, or those of documents. */

import type { ServedKind } from '#api/client'
import { readAll, type FileFlags } from '../documents.ts'
import { badUsage, exit } from '../exit.ts'
import { shortName } from '../kinds.ts'
import { whichObjects } from '../names.ts'
import { openScope, type Session } from '../session.ts'
import { inOrder, isRefusal, matchKinds } from '../apply/plan.ts'

type Flags = FileFlags & {
  readonly ignoreNotFound?: boolean
  readonly dryRun?: boolean
  readonly namespace?: string
  readonly control?: string
}
type Doomed = { readonly kind: ServedKind; readonly name: string; readonly namespace: string }

export async function remove(session: Session, typed: string | undefined, names: readonly string[], flags: Flags): Promise<number> {
  const { say } = session
  if ((typed === undefined) === (flags.file === undefined)) throw badUsage(['give either KIND NAME… or -f FILE'])
  if (typed !== undefined && names.length === 0 && !typed.includes('/')) throw badUsage([`which ${typed}? Give one or more names`])
  const documents =
    flags.file === undefined
      ? undefined
      : await readAll(session, flags, flags.namespace ?? (await session.address(flags.control)).namespace)
  const scope = await openScope(session, flags)
  const doomed: readonly Doomed[] = documents
    ? // What was needed first goes last.
      inOrder(matchKinds(session, scope, documents))
        .map(({ kind, resource, namespace }) => ({ kind, namespace, name: resource.metadata.name }))
        .toReversed()
    : (await whichObjects(scope.kinds, typed!, names)).flatMap(({ kind, names: theirs = [] }) =>
        theirs.map(name => ({ kind, name, namespace: scope.namespace })),
      )
  let code: number = exit.ok
  for (const { kind, name, namespace } of doomed) {
    try {
      await scope.client.delete(kind, name, { namespace, dryRun: flags.dryRun })
      say.out(`${shortName(kind, name)} ${say.paint('red', 'deleted')}${flags.dryRun ? ' (dry run)' : ''}`)
    } catch (thrown) {
      if (!isRefusal(thrown)) throw thrown
      if (thrown.code === 404 && flags.ignoreNotFound) continue
      say.err(`weft: ${thrown.message}`)
      code = exit.failed
    }
  }
  return code
}
