/** Runs h2spec (github.com/summerwind/h2spec), strictly, against the HTTP/2 codec on a socket, or against whatever listens: `node test/conformance/h2spec.ts [HOST PORT]`. Prints `h2spec: PASSED/ALL`. */

import { spawn } from 'node:child_process'
import process from 'node:process'
import { serveHttp2 } from './http2-server.ts'
import { type Found, goCommand, isKept, type Missing } from './peers.ts'

const version = 'v2.2.1+incompatible'

/** The program, built when it is not there yet. */
const h2spec = (): Found | Missing => goCommand('h2spec', `github.com/summerwind/h2spec/cmd/h2spec@${version}`)

/** Its path when it was built before; undefined: it was not. */
export const h2specPath = (): string | undefined => (isKept(`h2spec-${version}`) ? (h2spec() as Found).path : undefined)

/** passed of all cases, and what h2spec says about those that failed. */
export async function runH2spec(
  path: string,
  host: string,
  port: number,
  ...only: readonly string[]
): Promise<{ passed: number; all: number; report: string }> {
  const child = spawn(path, ['--strict', '-h', host, '-p', String(port), '-o', '2', ...only], { stdio: ['ignore', 'pipe', 'inherit'] })
  let report = ''
  for await (const piece of child.stdout) report += String(piece)
  const counts = /(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed/.exec(report)
  if (counts === null) throw new Error(`h2spec printed no result:\n${report}`)
  const failures = report.indexOf('Failures:')
  return { passed: Number(counts[2]), all: Number(counts[1]), report: failures < 0 ? '' : report.slice(failures) }
}

if (import.meta.main) {
  const found = h2spec()
  if ('missing' in found) {
    console.error(found.missing)
    process.exit(2)
  }
  const [host, port, ...only] = process.argv.slice(2)
  await using own = port === undefined ? await serveHttp2() : undefined
  const { passed, all, report } = await runH2spec(found.path, host ?? '127.0.0.1', port === undefined ? own!.port : Number(port), ...only)
  if (report !== '') console.log(report)
  console.log(`h2spec: ${passed}/${all}`)
  process.exitCode = passed === all ? 0 : 1
}
