/** `weft get -w`: what there is, then every change, over ends of the watch and restarts of the control plane. */

import type { Client, Selection, Table } from '#api/client'
import type { Resource } from '#resources/kind'
import { exit } from '../exit.ts'
import { shortName } from '../kinds.ts'
import type { Named } from '../names.ts'
import { textAs, withoutManagedFields } from '../print.ts'
import { pause, type Session } from '../session.ts'
import { tableLines, widthsOf } from '../table.ts'
import type { GetFlags } from './flags.ts'
import { headingsOf, rowsOf } from './rows.ts'

export async function follow(
  session: Session,
  client: Client,
  { kind, names }: Named,
  selection: Selection,
  flags: GetFlags,
): Promise<number> {
  const { signal } = session
  const [name] = names ?? []
  if (name !== undefined) await client.get(kind, name, selection)
  const watched: Selection = name === undefined ? selection : { ...selection, fieldSelector: `metadata.name=${name}` }
  const show = shower(session, kind, flags)
  let from: string | undefined
  let isFirst = true
  let isDown = false
  for (;;) {
    try {
      if (from === undefined) {
        const table = await client.table(kind, watched)
        // After a gap too old to be told, what there is now is told again.
        await show(table, undefined)
        from = table.metadata.resourceVersion ?? '0'
      }
      isFirst = false
      if (isDown) {
        await client.kinds()
        session.say.err('the control plane answers again')
        isDown = false
      }
      for await (const { type, object } of client.watchTable(kind, { ...watched, resourceVersion: from, signal })) {
        if (type !== 'BOOKMARK') await show(object, type)
        from = object.metadata.resourceVersion ?? object.rows[0]?.object.metadata.resourceVersion ?? from
      }
    } catch (thrown) {
      if (signal.aborted) break
      const { name: error, code } = thrown as Error & { code?: number }
      if (error === 'ApiError' && code === 410) from = undefined
      else if (error !== 'Unreachable' || isFirst) throw thrown
      else if (!isDown) {
        isDown = true
        session.say.err('the control plane does not answer; trying again')
      }
    }
    await pause(500, signal)
    if (signal.aborted) break
  }
  return exit.ok
}

type Show = (table: Table, type: string | undefined) => Promise<void>

/** Columns keep the widths of what was shown first, so that lines below each other align. */
function shower(
  { say }: Session,
  kind: Named['kind'],
  { output = 'table', allNamespaces = false, headers = true, showManagedFields }: GetFlags,
): Show {
  const options = { wide: output === 'wide', namespaces: allNamespaces && kind.namespaced }
  let widths: number[] | undefined
  return async table => {
    for (const { object } of output === 'table' || output === 'wide' ? [] : table.rows) {
      const resource: Resource = showManagedFields ? object : withoutManagedFields(object)
      if (output === 'name') say.out(shortName(kind, resource.metadata.name))
      else if (output === 'json') say.out(JSON.stringify(resource))
      else say.raw(`---\n${await textAs('yaml', resource)}`)
    }
    if ((output !== 'table' && output !== 'wide') || table.rows.length === 0) return
    const [headings, rows] = [headingsOf(table, options), rowsOf(table, options)]
    const isFirst = widths === undefined
    widths ??= widthsOf(headings, rows)
    const lines = tableLines(say, headings, rows, widths)
    for (const line of isFirst && headers ? lines : lines.slice(1)) say.out(line)
  }
}
