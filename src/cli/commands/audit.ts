/** `weft audit`: who changed what, when and how. */

import type { AuditEntry, FieldChange } from '#api/mesh-api'
import { Flags } from '../flags/collect.ts'
import { exit } from '../exit.ts'
import { tellAgo } from '../moment.ts'
import { printAs } from '../print.ts'
import type { Session } from '../session.ts'
import { printTable } from '../table.ts'

type Given = {
  readonly since?: string
  readonly namespace?: string
  readonly kind?: string
  readonly name?: string
  readonly who?: string
  readonly limit?: string
  readonly diff?: boolean
  readonly output?: 'table' | 'json' | 'yaml' | 'jsonl'
  readonly control?: string
}

/** jsonl: one entry a line, all there is from the newest to the oldest unless --limit says fewer: for another place to keep it. */
export async function audit(session: Session, given: Given): Promise<number> {
  const { say } = session
  const { output = 'table', kind, name, who } = given
  const flags = new Flags(given)
  const sinceMs = flags.duration('since')
  const namespace = flags.label('namespace')
  const limit = flags.whole('limit', 1, 1_000_000) ?? (output === 'jsonl' ? Number.POSITIVE_INFINITY : 50)
  flags.stopIfWrong()
  const { client } = await session.reach(given.control)
  const query = {
    ...(sinceMs === undefined ? {} : { since: new Date(session.now() - sinceMs).toISOString() }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(kind === undefined ? {} : { kind }),
    ...(name === undefined ? {} : { name }),
    ...(who === undefined ? {} : { who }),
  }
  const all: AuditEntry[] = []
  let before: number | undefined
  for (let left = limit; left > 0; ) {
    const page = await client.audit({ ...query, limit: Math.min(left, 1000), ...(before === undefined ? {} : { before }) })
    if (output === 'jsonl') for (const entry of page.items) say.out(JSON.stringify(entry))
    else all.push(...page.items)
    left -= page.items.length
    before = page.before
    if (before === undefined) break
  }
  if (output === 'jsonl') return exit.ok
  if (output !== 'table') await printAs(say, output, { items: all })
  else if (given.diff === true) for (const entry of all) showWhole(session, entry)
  else showTable(session, all)
  return exit.ok
}

/** `ada (token)`. */
const provedWho = ({ who, how }: AuditEntry): string => (how === undefined ? who : `${who} (${how})`)

const about = ({ kind, namespace, name }: AuditEntry): string => `${kind} ${namespace === undefined ? name : `${namespace}/${name}`}`

function showTable({ say, now }: Session, entries: readonly AuditEntry[]): void {
  if (entries.length === 0) return say.err('nothing was changed by anybody that this asks for')
  printTable(
    say,
    [{ name: 'when' }, { name: 'who' }, { name: 'from' }, { name: 'with' }, { name: 'action' }, { name: 'about' }, { name: 'fields' }],
    entries.map(entry => [
      tellAgo(entry.at, now()),
      provedWho(entry),
      entry.address,
      entry.agent.split(' ')[0] ?? '',
      entry.action,
      about(entry),
      entry.action === 'changed' ? briefly(entry.changes) : '',
    ]),
  )
}

function briefly(changes: readonly FieldChange[]): string {
  const paths = changes.map(({ path }) => path)
  return paths.length > 3 ? `${paths.slice(0, 3).join(', ')} and ${paths.length - 3} more` : paths.join(', ')
}

function showWhole({ say }: Session, entry: AuditEntry): void {
  const { at, address, agent, action, revision, changes } = entry
  say.out(
    `${say.paint('bold', `${at}  ${about(entry)} ${action}`)}  by ${provedWho(entry)} from ${address || 'here'} with ${agent || 'something'}, revision ${revision}`,
  )
  for (const { path, before, after } of changes) {
    if (before !== undefined) say.out(say.paint('red', `  - ${path}: ${JSON.stringify(before)}`))
    if (after !== undefined) say.out(say.paint('green', `  + ${path}: ${JSON.stringify(after)}`))
  }
  say.out('')
}
