/** `npm run conformance -- [NAME…]`: the suites of others, each a program of its own; without a name all of them. Ends with 1 when one failed, with 2 when one could not be had. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import process from 'node:process'
import { startHop } from './hop.ts'

type Suite = { readonly says: string; readonly file: string /** It is told host and port of a proxy. */; readonly isOfHop?: true }

const suites: Readonly<Record<string, Suite>> = {
  h1spec: { says: 'both lists of HTTP/1.1 cases, against a proxy', file: 'h1spec.ts' },
  h2spec: { says: 'every case of HTTP/2, strictly, against a proxy', file: 'h2spec.ts', isOfHop: true },
  'h2spec-codec': { says: 'the same against the codec alone', file: 'h2spec.ts' },
  hpack: { says: 'header blocks of other implementations', file: 'hpack.ts' },
  grpc: { says: "gRPC's own cases with its Go client and server, through two proxies", file: 'grpc.ts' },
  websocket: { says: 'clients of ws, Python and Go, through two proxies', file: 'websocket.ts' },
}

const asked = process.argv.slice(2)
const unknown = asked.find(name => !(name in suites))
if (unknown !== undefined) {
  console.error(`there is no suite "${unknown}":`)
  for (const [name, { says }] of Object.entries(suites)) console.error(`  ${name.padEnd(14)}${says}`)
  process.exit(2)
}

const codes: number[] = []
for (const [name, { says, file, isOfHop }] of Object.entries(suites)) {
  if (asked.length > 0 && !asked.includes(name)) continue
  const path = join(import.meta.dirname, file)
  console.log(`— ${name}: ${says}`)
  await using hop = isOfHop ? await startHop(2) : undefined
  const target = hop === undefined ? [] : ['127.0.0.1', String(hop.port)]
  const ran = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', path, ...target], { stdio: 'inherit' })
  const [code] = (await once(ran, 'exit')) as [number | null]
  codes.push(code ?? 1)
}
process.exitCode = codes.includes(1) ? 1 : Math.max(0, ...codes)
