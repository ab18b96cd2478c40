/** `weft get`: resources as tables or documents, once or as they change. */

import type { Client, Selection } from '#api/client'
import type { Resource } from '#resources/kind'
import { badUsage, exit } from '../exit.ts'
import { shortName } from '../kinds.ts'
import { mapLimited } from '../limit.ts'
import { whichObjects, type Named } from '../names.ts'
import { printAs, withoutManagedFields } from '../print.ts'
import { openScope, type Session } from '../session.ts'
import { tableLines } from '../table.ts'
import type { GetFlags } from '../get/flags.ts'
import { headingsOf, mergeTables, rowsOf } from '../get/rows.ts'

export async function get(session: Session, typed: string, names: readonly string[], flags: GetFlags): Promise<number> {
  const { client, kinds, namespace } = await openScope(session, flags)
  const wanted = await whichObjects(kinds, typed, names)
  const isNamed = wanted.some(each => each.names)
  const wrong: string[] = []
  if (isNamed && flags.allNamespaces) wrong.push('-A and a name exclude each other: say with -n in which namespace it is')
  if (isNamed && flags.selector !== undefined) wrong.push('-l and a name exclude each other')
  if (flags.watch && (wanted.length > 1 || (wanted[0]?.names?.length ?? 0) > 1)) wrong.push('-w follows one kind, or one object')
  if (wrong.length > 0) throw badUsage(wrong)
  const selection: Selection = { namespace, all: flags.allNamespaces, labelSelector: flags.selector }
  if (flags.watch) return (await import('../get/watch.ts')).follow(session, client, wanted[0]!, selection, flags)
  const { output = 'table' } = flags
  return output === 'table' || output === 'wide'
    ? tables(session, client, wanted, selection, flags)
    : documents(session, client, wanted, selection, flags)
}

async function documents(
  session: Session,
  client: Client,
  wanted: readonly Named[],
  selection: Selection,
  { output, showManagedFields }: GetFlags,
): Promise<number> {
  const { say } = session
  const missing: unknown[] = []
  const found = await mapLimited(wanted, async ({ kind, names }) => {
    if (!names) return (await client.list(kind, selection)).items.map(item => ({ kind, resource: item }))
    const each = await mapLimited(names, name => client.get(kind, name, selection).catch((thrown: unknown) => void missing.push(thrown)))
    return each.flatMap(resource => (resource ? [{ kind, resource }] : []))
  })
  const all = found.flat()
  if (output === 'name') for (const { kind, resource } of all) say.out(shortName(kind, resource.metadata.name))
  else {
    const items = all.map(({ resource }): Resource => (showManagedFields ? resource : withoutManagedFields(resource)))
    const isSingle = wanted.length === 1 && wanted[0]!.names?.length === 1
    const whole = isSingle ? items[0] : { apiVersion: 'v1', kind: 'List', metadata: {}, items }
    if (whole !== undefined) await printAs(say, output as 'yaml' | 'json', whole)
  }
  return tellMissing(session, missing)
}

async function tables(session: Session, client: Client, wanted: readonly Named[], selection: Selection, flags: GetFlags): Promise<number> {
  const { say } = session
  const missing: unknown[] = []
  const { output = 'table', headers = true } = flags
  const found = await mapLimited(wanted, async ({ kind, names }) => {
    if (!names) return { kind, table: await client.table(kind, selection) }
    // A name that is not there is told as such, not as an empty table.
    const each = await mapLimited(names, async name => {
      const table = await client.table(kind, { ...selection, fieldSelector: `metadata.name=${name}` })
      if (table.rows.length === 0) await client.get(kind, name, selection).catch((thrown: unknown) => void missing.push(thrown))
      return table
    })
    return { kind, table: mergeTables(each) }
  })
  const shown = found.filter(({ table }) => table.rows.length > 0)
  for (const [at, { kind, table }] of shown.entries()) {
    if (at > 0) say.out('')
    const options = {
      wide: output === 'wide',
      namespaces: (flags.allNamespaces ?? false) && kind.namespaced,
      prefix: shown.length > 1 ? kind.singular : undefined,
    }
    const lines = tableLines(say, headingsOf(table, options), rowsOf(table, options))
    for (const line of headers ? lines : lines.slice(1)) say.out(line)
  }
  if (shown.length === 0 && missing.length === 0) {
    const where = flags.allNamespaces || wanted.every(({ kind }) => !kind.namespaced) ? '' : ` in the namespace ${selection.namespace}`
    say.err(
      `no ${wanted.map(({ kind }) => kind.plural).join(', ')}${where}${flags.selector === undefined ? '' : ` with ${flags.selector}`}`,
    )
  }
  return tellMissing(session, missing)
}

/** What is not there is said after what is. Anything else is an error as everywhere. */
function tellMissing({ say }: Session, missing: readonly unknown[]): number {
  for (const thrown of missing) {
    if (!(thrown instanceof Error) || (thrown as Error & { code?: number }).code !== 404) throw thrown
    say.err(`weft: ${thrown.message}`)
  }
  return missing.length > 0 ? exit.failed : exit.ok
}
