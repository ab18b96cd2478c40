/** `weft diff`: what apply would change, against the live objects. */

import type { Resource } from '#resources/kind'
import { readAll, type FileFlags } from '../documents.ts'
import { exit, Stopped } from '../exit.ts'
import { mapLimited } from '../limit.ts'
import { yamlText } from '../print.ts'
import { openScope, type Session } from '../session.ts'
import { matchKinds, rehearse } from '../apply/plan.ts'
import { unifiedDiff } from '../diff/unified.ts'

type Flags = FileFlags & { readonly forceConflicts?: boolean; readonly namespace?: string; readonly control?: string }

/** 0: nothing would change. 1: something would. 2, as of diff(1): it cannot be told. */
export async function diff(session: Session, flags: Flags): Promise<number> {
  const { say } = session
  try {
    const found = await session.address(flags.control)
    const documents = await readAll(session, flags, flags.namespace ?? found.namespace)
    const scope = await openScope(session, flags)
    const planned = matchKinds(session, scope, documents)
    const after = await rehearse(session, scope.client, planned, documents, { force: flags.forceConflicts ?? false })
    const before = await mapLimited(planned, ({ kind, resource, namespace }) =>
      scope.client.find(kind, resource.metadata.name, { namespace }),
    )
    let code: number = exit.ok
    for (const [at, { kind, resource, namespace }] of planned.entries()) {
      const name = `${kind.singular}/${kind.namespaced ? `${namespace}/` : ''}${resource.metadata.name}`
      const [old, next] = [before[at], after[at]!.resource]
      const [left, right] = [await textOf(old, next, 'before'), await textOf(next, old, 'after')]
      for (const line of unifiedDiff(left, right, { left: `live/${name}`, right: `new/${name}` }, say.paint)) say.out(line)
      if (left !== right) code = exit.failed
    }
    return code
  } catch (thrown) {
    if (thrown instanceof Stopped) throw new Stopped(thrown.message, exit.usage)
    throw Object.assign(thrown as Error, { exitCode: exit.usage })
  }
}

const serverOwn = new Set(['managedFields', 'resourceVersion', 'generation', 'uid', 'creationTimestamp'])

/** What the server keeps for itself is no difference. */
async function textOf(resource: Resource | undefined, other: Resource | undefined, when: string): Promise<string> {
  if (!resource) return ''
  const { status: _, ...document } = resource
  const metadata = Object.fromEntries(Object.entries(document.metadata).filter(([key]) => !serverOwn.has(key)))
  return yamlText({ ...(resource.kind === 'Secret' ? masked(document, other, when) : document), metadata })
}

type Data = Readonly<Record<string, string>>

/** Of a Secret it is told which values differ, not what they are. */
function masked(document: Readonly<Record<string, unknown>>, other: Resource | undefined, when: string): object {
  const there = (other?.['data'] ?? {}) as Data
  const data = Object.entries((document['data'] ?? {}) as Data).map(([name, value]) => [
    name,
    value === there[name] ? '***' : `*** (${when})`,
  ])
  return { ...document, data: Object.fromEntries(data) as Data }
}
