/** What a configuration compiles to, as text that can be compared: every proxy's view, the bytes of its resources, and all statuses. Run as a program it reads configurations from standard input, one on each line, and prints a hash for each. */

import { createHash } from 'node:crypto'
import process from 'node:process'
import readline from 'node:readline'
import { compile, viewFor } from '../../src/compiler.ts'
import { encodeView } from '../../src/xds/encode.ts'
import type { EncodedResource } from '../../src/xds/types.ts'
import { type Configuration, nodeOf } from './configurations.ts'

const options = { trustDomain: 'weft.local', roots: ['ROOT'], now: Date.parse('2026-06-01T00:00:00Z') }

/** sent: of each proxy the bytes of each resource, as hex, by type and name. text: all of it with views and statuses. */
export function compiled({ resources, inventory }: Configuration) {
  const { mesh, notes, statuses } = compile(resources, inventory, options)
  // In order of name: a view is one proxy's, wherever it stands in the list.
  const nodes = inventory.workloads.map(nodeOf).sort((one, other) => (one.id < other.id ? -1 : 1))
  const views = nodes.map(node => [node.id, viewFor(mesh, node)] as const)
  const sent = views.map(([id, view]) => [id, Object.values(encodeView(view)).flatMap(all => [...all.values()].map(bytesOf))] as const)
  const text = JSON.stringify({ views, notes, statuses, sent })
  return { views, statuses, sent, text, hash: createHash('sha256').update(text).digest('hex') }
}

const bytesOf = ({ typeUrl, name, body }: EncodedResource) => [typeUrl, name, Buffer.from(body).toString('hex')] as const

if (process.argv[1] === import.meta.filename)
  for await (const line of readline.createInterface({ input: process.stdin }))
    process.stdout.write(`${compiled(JSON.parse(line) as Configuration).hash}\n`)
